"""An environment's parameters from the keywords that people give: one check for all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, TypeVar

from tratree_cli.errors import InputError, did_you_mean

_Parameters = TypeVar("_Parameters")
_NONE: Mapping[str, Any] = MappingProxyType({})


def checked_parameters(
    kind: type[_Parameters],
    environment: str,
    given: Mapping[str, Any],
    *,
    choices: Mapping[str, Collection[str]] = _NONE,
    least: Mapping[str, int] = _NONE,
) -> _Parameters:
    """``kind(**given)``, a dataclass of whole numbers and texts.

    ``choices`` lists the allowed texts of a parameter, ``least`` the smallest number.
    ``InputError`` names the nearest parameter or what is wrong with the value.
    """
    types = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    for name, value in given.items():
        if name not in types:
            raise InputError(
                f"{environment} has no parameter '{name}'{did_you_mean(name, types)}; "
                f"it has {', '.join(types)}"
            )
        number = types[name] in ("int", int)
        if not (type(value) is int if number else isinstance(value, str)):
            wanted = "whole number" if number else "text"
            raise InputError(f"{environment}'s parameter {name} is a {wanted}, not {value!r}")
        allowed = choices.get(name, (value,))
        if value not in allowed:
            raise InputError(
                f"{environment}'s {name} is one of {', '.join(allowed)}, not '{value}'"
            )
        if name in least and value < least[name]:
            raise InputError(f"{environment}'s {name} must be at least {least[name]}")
    return kind(**given)
