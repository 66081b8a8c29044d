"""An environment's parameters from the keywords that people give: one check for all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from math import isfinite
from types import MappingProxyType
from typing import Any, TypeVar

from tratree_cli.errors import InputError, did_you_mean

_Parameters = TypeVar("_Parameters")
_NONE: Mapping[str, Any] = MappingProxyType({})
_WANTED: Mapping[str, tuple[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "int": ("whole number", lambda value: type(value) is int),
        "float": ("number", lambda value: type(value) in (int, float) and isfinite(value)),
        "str": ("text", lambda value: isinstance(value, str)),
    }
)
"""By a field's annotation, how its type is called and which values are of it."""


def checked_parameters(
    kind: type[_Parameters],
    environment: str,
    given: Mapping[str, Any],
    *,
    choices: Mapping[str, Collection[str]] = _NONE,
    least: Mapping[str, float] = _NONE,
    most: Mapping[str, float] = _NONE,
) -> _Parameters:
    """``kind(**given)``, a dataclass of whole numbers, numbers and texts.

    ``choices`` lists the allowed texts of a parameter, ``least`` and ``most`` bound its number.
    ``InputError`` names the nearest parameter or what is wrong with the value.
    """
    types = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    for name, value in given.items():
        if name not in types:
            raise InputError(
                f"{environment} has no parameter '{name}'{did_you_mean(name, types)}; "
                f"it has {', '.join(types)}"
            )
        wanted, fits = _WANTED[str(types[name])]
        if not fits(value):
            raise InputError(f"{environment}'s parameter {name} is a {wanted}, not {value!r}")
        allowed = choices.get(name, (value,))
        if value not in allowed:
            raise InputError(
                f"{environment}'s {name} is one of {', '.join(allowed)}, not '{value}'"
            )
        if name in least and value < least[name]:
            raise InputError(f"{environment}'s {name} must be at least {least[name]}")
        if name in most and value > most[name]:
            raise InputError(f"{environment}'s {name} must be at most {most[name]}")
    numbers = {name: float(value) for name, value in given.items() if types[name] == "float"}
    return kind(**{**given, **numbers})
