"""Typed parameters of a stage, and how they become part of its key.

A stage has one frozen dataclass of parameters, and its body sees nothing else of the configuration.
What is keyed is stated at the field::

    @dataclass(frozen=True)
    class SearchParameters:
        rollouts: int                                   # always keyed
        select: str = keyed_unless("mean", since=2)     # absent from the key while it is "mean"
        cache_every: int = not_keyed(100)               # changes no byte of the result

A field that a later version adds names the value that everything made before it had. While the
field has that value it is absent from the key, so a new version finds what an older one made. The
value is a literal at the field and does not follow the default that a configuration has today.

``key_document`` gives the JSON that is keyed, ``read_parameters`` the typed value of a stored one.
The trade-off against a serialisation library: two short functions over the standard dataclasses,
which import nothing and read no form but the one that is written here.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from tratree_cli.errors import InputError
from tratree_cli.settings import KEY_RULE, NEVER, KeyRule

_Parameters = TypeVar("_Parameters")


def keyed_unless(literal: Any, *, since: int = 1) -> Any:
    """A field that is absent from the key while it equals ``literal``, which is its default."""
    metadata = {KEY_RULE: KeyRule(absent=literal, since=since)}
    return dataclasses.field(default=literal, metadata=metadata)


def not_keyed(default: Any) -> Any:
    """A field that changes nothing about the result and never enters the key."""
    return dataclasses.field(default=default, metadata={KEY_RULE: KeyRule(keyed=False)})


def key_document(parameters: Any) -> dict[str, Any]:
    """The JSON that a parameter value is keyed by; nested parameter types are nested objects."""
    document = {}
    for field, rule in _rules(parameters):
        value = _plain(getattr(parameters, field.name))
        if rule.keyed and (rule.absent is NEVER or value != _plain(rule.absent)):
            document[field.name] = value
    return document


def read_parameters(
    cls: type[_Parameters], document: Mapping[str, Any], origin: str = "these parameters"
) -> _Parameters:
    """The typed value of a document that ``key_document`` wrote, now or in an earlier version.

    Absent fields have the literal of their rule. Raises ``InputError``, which calls the document
    ``origin``, for a field that is unknown and for one that is missing.
    """
    hints = typing.get_type_hints(cls)
    rules = dict(_rules(cls))
    names = {field.name for field, rule in rules.items() if rule.keyed}
    if unknown := sorted(set(document) - names):
        raise InputError(
            f"{origin} have a field that this version of tratree does not know: {unknown[0]}"
        )
    values: dict[str, Any] = {}
    for field, rule in rules.items():
        if field.name in document:
            values[field.name] = _typed(hints[field.name], document[field.name], origin)
        elif rule.keyed and rule.absent is not NEVER:
            values[field.name] = _typed(hints[field.name], rule.absent, origin)
        elif rule.keyed:
            raise InputError(f"{origin} lack the field '{field.name}'")
    return cls(**values)


def _rules(parameters: Any) -> Iterator[tuple[dataclasses.Field[Any], KeyRule]]:
    for field in dataclasses.fields(parameters):
        yield field, field.metadata.get(KEY_RULE, KeyRule())


def _plain(value: Any) -> Any:
    """``value`` as JSON has it."""
    if dataclasses.is_dataclass(value):
        return key_document(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _typed(hint: Any, value: Any, origin: str) -> Any:
    """A JSON value as its field's type: objects become parameter types, lists become tuples."""
    if isinstance(hint, types.UnionType):
        return _typed(_member(hint, value), value, origin)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return read_parameters(typing.cast(type[Any], hint), value, origin)
    if isinstance(value, list | tuple):
        (inner, *_) = typing.get_args(hint) or (Any,)
        items = [_typed(inner, item, origin) for item in value]
        return items if typing.get_origin(hint) is list else tuple(items)
    return value


def _member(hint: types.UnionType, value: Any) -> Any:
    """The member of a union that ``value`` is: of several parameter types the first that fits."""
    members: Sequence[Any] = [member for member in hint.__args__ if member is not type(None)]
    for member in members:
        if dataclasses.is_dataclass(member) and isinstance(value, Mapping):
            fields = dict(_rules(member)).items()
            needed = {f.name for f, rule in fields if rule.keyed and rule.absent is NEVER}
            if needed <= set(value):
                return member
    return members[0]
