"""Settings in frozen dataclasses: declared with a note and bounds, read from what people write.

What is unknown, ill-typed or out of bounds is an error that names the place and the nearest known
name. A field also says how it is keyed where a stage's parameters hold it
(``pipeline.parameters``).
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from tratree_cli.errors import InputError, did_you_mean

_Settings = typing.TypeVar("_Settings")


OVERRIDES = "overrides"
NAMED_OVERRIDES = "named overrides"
"""The name under which a field's metadata marks a table that is laid over its own section."""
KEY_RULE = "key_rule"
"""The name under which a field's metadata holds its ``KeyRule``."""
NEVER = object()
"""The ``absent`` of a field that is always in the key."""


@dataclass(frozen=True)
class KeyRule:
    """Whether a field is keyed, and the value at which it is absent from the key (if any).

    ``since`` is the stage's version that brought the field.
    """

    keyed: bool = True
    absent: Any = NEVER
    since: int = 1


@dataclass(frozen=True)
class Bounds:
    """What a value may be: from ``least`` to ``most``, more than ``above``, one of ``choices``."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    choices: Sequence[str] = ()

    def violated(self, value: Any) -> str:
        """What ``value`` must be and is not; empty where it is. NaN is within no bounds."""
        if self.choices and value not in self.choices:
            return f"one of {', '.join(filter(None, self.choices))}"
        if isinstance(value, str):
            return ""  # a word that stands for a number
        if self.least is not None and not value >= self.least:
            return f"at least {self.least}"
        if self.above is not None and not value > self.above:
            return f"above {self.above}"
        if self.most is not None and not value <= self.most:
            return f"at most {self.most}"
        return ""


def note(
    default: Any,
    text: str,
    *,
    keyed: bool = True,
    absent: Any = NEVER,
    since: int = 1,
    **bounds: Any,
) -> Any:
    """A dataclass field with a default, the sentence that documents it, and its ``Bounds``.

    ``keyed``, ``absent`` and ``since`` are its ``KeyRule`` where a stage's parameters hold the
    section; ``absent`` is a literal of its own, because a default may change and a key may not.
    """
    rule = KeyRule(keyed, absent, since)
    about = {"note": text, "bounds": Bounds(**bounds), KEY_RULE: rule}
    if isinstance(default, dict | list):
        return field(default_factory=lambda: type(default)(default), metadata=about)
    return field(default=default, metadata=about)


def override(text: str) -> Any:
    """A field with keys of its own section that count instead of it, in one case: ``[sft.weak]``.

    What it does not name is as in the section. Its values are checked like the section's, and a
    later layer that names a key for the whole section takes back what earlier ones overrode.
    """
    about = {"note": text, "bounds": Bounds(), KEY_RULE: KeyRule(keyed=False), OVERRIDES: True}
    return field(default_factory=dict, metadata=about)


def named_overrides(text: str) -> Any:
    """A field with tables of such keys, each under a name: ``[pairs.rules.eto]``.

    They are checked where they are read. A later layer takes back as with ``override``.
    """
    about = {"note": text, "bounds": Bounds(), KEY_RULE: KeyRule(), NAMED_OVERRIDES: True}
    return field(default_factory=dict, metadata=about)


def read_settings(
    settings: type[_Settings], values: Mapping[str, Any], origin: str, path: str
) -> _Settings:
    """A plug-in's own dataclass of settings, its defaults overlaid with ``values``.

    ``path`` is where they stand in a configuration. Raises ``InputError``, which names ``origin``,
    for a setting that the plug-in does not have or a value of another type.
    """
    return overlay(settings(), values, origin, path=f"{path}.")


def overlay(
    target: _Settings,
    values: Mapping[str, Any],
    origin: str,
    *,
    path: str = "",
    known: Sequence[str] = (),
) -> _Settings:
    """A copy of the dataclass ``target`` with nested ``values`` laid over it.

    ``origin`` names the values in errors and ``path`` is put before their names; ``known`` are the
    names that a misspelt one is compared with beside the target's own.
    """
    settings: Any = target
    hints = typing.get_type_hints(type(target))
    bounds = {key.name: key.metadata.get("bounds", Bounds()) for key in fields(settings)}
    overrides = [key.name for key in fields(settings) if key.metadata.get(OVERRIDES)]
    changes: dict[str, Any] = {
        name: {key: value for key, value in getattr(target, name).items() if key not in values}
        for name in overrides
    }
    for name in (key.name for key in fields(settings) if key.metadata.get(NAMED_OVERRIDES)):
        changes[name] = _taken_back(getattr(target, name), values)
    for key, value in values.items():
        dotted = f"{path}{key}"
        if key not in hints:
            hint = did_you_mean(dotted, [*known, *(path + name for name in hints)])
            raise InputError(f"{origin}: unknown parameter '{dotted}'{hint}")
        current = getattr(target, key)
        if key in overrides:
            checked = _overriding(target, overrides, value, origin, f"{dotted}.", known)
            changes[key] = {**changes[key], **checked}
        elif is_dataclass(current) and not isinstance(current, type):
            if not isinstance(value, Mapping):
                raise InputError(f"{origin}: '{dotted}' is a section, not a value")
            changes[key] = overlay(current, value, origin, path=f"{dotted}.", known=known)
        elif isinstance(current, dict) and isinstance(value, Mapping):
            changes[key] = _merged(changes.get(key, current), value)
        else:
            changes[key] = _coerce(value, hints[key], origin, dotted)
            _require_bounds(bounds[key], changes[key], f"{origin}: '{dotted}'")
    changed: _Settings = dataclasses.replace(settings, **changes)
    return changed


def _taken_back(tables: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The tables without the keys that ``values`` name for the whole section."""
    return {
        name: {key: value for key, value in table.items() if key not in values}
        if isinstance(table, Mapping)
        else table
        for name, table in tables.items()
    }


def _overriding(
    target: Any,
    overrides: Sequence[str],
    value: Any,
    origin: str,
    path: str,
    known: Sequence[str],
) -> dict[str, Any]:
    """The keys of ``target``'s own section in ``value``, as the section has them."""
    if not isinstance(value, Mapping):
        raise InputError(f"{origin}: '{path[:-1]}' is a section, not a value")
    for name in overrides:
        if name in value:
            raise InputError(f"{origin}: '{path}{name}': an override has none of its own")
    names = [path + key.name for key in fields(target) if key.name not in overrides]
    checked = overlay(target, value, origin, path=path, known=[*known, *names])
    return {key: getattr(checked, key) for key in value}


def _require_bounds(bounds: Bounds, value: Any, place: str) -> None:
    for item in value if isinstance(value, list) else [value]:
        if requirement := bounds.violated(item):
            hint = did_you_mean(str(item), bounds.choices)
            raise InputError(f"{place} must be {requirement}, not {item!r}{hint}")


def _merged(current: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` laid over ``current``, tables of both over each other."""
    merged = dict(current)
    for key, value in values.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged


def _coerce(value: Any, hint: Any, origin: str, dotted: str) -> Any:
    plain = typing.get_origin(hint) or hint
    if plain is typing.Union:
        # A number, or one of the words that stand for one.
        number, words = typing.get_args(hint)
        if value in typing.get_args(words):
            return value
        if isinstance(value, str):
            raise InputError(f"{origin}: '{dotted}' must be {_type_name(hint)}, not {value!r}")
        return _coerce(value, number, origin, dotted)
    if plain is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if plain is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if plain is list:
        (inner,) = typing.get_args(hint)
        items: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
        return [_coerce(item, inner, origin, dotted) for item in items]
    if (
        isinstance(plain, types.UnionType)
        or not isinstance(value, plain)
        or (plain is int and isinstance(value, bool))
    ):
        raise InputError(f"{origin}: '{dotted}' must be {_type_name(hint)}, not {value!r}")
    return value


def _type_name(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    if typing.get_origin(hint) is dict:
        return "a table"
    if typing.get_origin(hint) is typing.Union:
        number, words = typing.get_args(hint)
        return f"{_type_name(number)} or {', '.join(map(repr, typing.get_args(words)))}"
    return names.get(hint, str(hint))
