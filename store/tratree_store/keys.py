"""Keys: what a recipe is, and the one way in which it becomes a digest.

Equal recipes must give equal keys in every process, on every machine, for years; so the byte form
is fixed here (``canonical_json``) and values that cannot promise that are refused with their place:
NaN (never equal to itself), sets (no order), non-string keys (1 and "1" would meet), absolute paths
(another machine has other ones). The trade-off is strictness: ``1`` and ``1.0`` are different keys.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from tratree_store.errors import KeyValueError

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

DOCUMENT_FORMAT = 1
_MAX_DEPTH = 64
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[a-z][a-z0-9-]*")
# Two components at least: "/no_think" is a word for a model, "/data/x" is a place on a machine.
_ABSOLUTE = re.compile(r"(?:/[^/\s]+/\S*|~/\S*|file:/\S*|[A-Za-z]:[\\/]\S*|\\\\\S+)\Z")


def is_digest(text: str) -> bool:
    """Whether ``text`` is 64 lower-case hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def is_word(text: str) -> bool:
    """Whether ``text`` can be a stage or a kind: lower-case letters, digits and ``-``."""
    return len(text) <= 64 and _WORD.fullmatch(text) is not None


def sha256(data: bytes) -> str:
    """The sha256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: JSON, *, where: str = "value", paths: bool = False) -> bytes:
    """The one byte form of ``value``: UTF-8, keys sorted by code point, no spaces.

    Numbers are written as Python writes them (shortest form that reads back equal). Raises
    ``KeyValueError`` naming the place for anything without a single lasting form; absolute paths
    are refused too unless ``paths``.
    """
    return dump(_plain(value, where, paths, 0))


def dump(value: Any) -> bytes:
    """Canonical bytes of a value that is already known to be plain."""
    text = json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    return text.encode("utf-8")


def _plain(value: Any, where: str, paths: bool, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise KeyValueError(f"{where} is nested deeper than {_MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _plain_text(str.__str__(value), where, paths)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise KeyValueError(f"{where} is {value}, which does not fit into 64 bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise KeyValueError(f"{where} is {value}; a key needs finite numbers")
        return float(value) + 0.0  # -0.0 equals 0.0 and must not make another key
    if isinstance(value, Mapping):
        result = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise KeyValueError(f"{where} has the key {key!r}; keys must be strings")
            name = _plain_text(key, f"a key of {where}", True)
            result[name] = _plain(item, f"{where}.{key}", paths, depth + 1)
        return result
    if isinstance(value, list | tuple):
        return [_plain(v, f"{where}[{i}]", paths, depth + 1) for i, v in enumerate(value)]
    if isinstance(value, set | frozenset):
        raise KeyValueError(f"{where} is a set, which has no order; use a sorted list")
    raise KeyValueError(
        f"{where} is a {type(value).__name__}; a key may hold only null, booleans, numbers, "
        "strings, lists and mappings"
    )


def _plain_text(text: str, where: str, paths: bool) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise KeyValueError(f"{where} holds a broken character (a lone surrogate)") from None
    if not paths and _ABSOLUTE.match(text):
        raise KeyValueError(
            f"{where} is the absolute path {text!r}, which means nothing on another machine; "
            "key the content's digest instead"
        )
    return text


def recorded(value: Any) -> Any:
    """A JSON form of anything, for what is only recorded: never raises.

    A summary with a NaN in it must not cost the hours of work that it describes: numbers that are
    not finite become null, unknown objects their text.
    """
    if value is None or isinstance(value, bool | int):
        return value if value is None or isinstance(value, bool) else int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return str.__str__(value).encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {str(recorded(str(k))): recorded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [recorded(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((recorded(v) for v in value), key=str)
    return recorded(str(value))


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a stage makes.

    Args:
        stage: name of the stage, such as ``build-tree``.
        version: declared version of its code; raised when the result changes for equal inputs.
        kind: kind of the artifact it makes.
        params: parameters that change the result, seeds included.
        inputs: role -> object digest(s), 64 hexadecimal digits each; order is part of the key.
        templates: name -> digest of a prompt or chat template.
        models: role -> identity of a base model (hub id and revision, or a tree digest).
        environment: id and data digest of the environment, if the stage touches one.

    Raises ``KeyValueError`` naming the field for anything that has no lasting byte form.
    """

    stage: str
    version: int
    kind: str
    params: Mapping[str, JSON]
    inputs: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, JSON] | None = None

    def __post_init__(self) -> None:
        for name, word in (("stage", self.stage), ("kind", self.kind)):
            if not is_word(word):
                raise KeyValueError(f"{name} is {word!r}; use lower-case letters, digits and '-'")
        if isinstance(self.version, bool) or not isinstance(self.version, int):
            raise KeyValueError(f"version is {self.version!r}; it must be a whole number")
        for role, digests in self.inputs.items():
            for digest in [digests] if isinstance(digests, str) else digests:
                if not isinstance(digest, str) or not is_digest(digest):
                    raise KeyValueError(
                        f"inputs.{role} is {digest!r}; it must be an object digest "
                        "(64 hexadecimal digits)"
                    )
        _ = self.canonical

    @cached_property
    def canonical(self) -> bytes:
        """The bytes that are hashed."""
        return canonical_json(
            {
                "format": DOCUMENT_FORMAT,
                "stage": self.stage,
                "stage_version": self.version,
                "kind": self.kind,
                "params": self.params,
                "inputs": self.inputs,
                "templates": self.templates,
                "models": self.models,
                "environment": self.environment,
            },
            where="recipe",
        )

    @property
    def document(self) -> dict[str, Any]:
        """What is hashed, as a fresh dictionary."""
        return dict(json.loads(self.canonical))

    @cached_property
    def digest(self) -> str:
        """sha256 of the canonical bytes: the recipe's key."""
        return sha256(self.canonical)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Recipe:
        """The recipe that has this document; digests agree."""
        return cls(
            stage=document["stage"],
            version=document["stage_version"],
            kind=document["kind"],
            params=document["params"],
            inputs=document["inputs"],
            templates=document["templates"],
            models=document["models"],
            environment=document["environment"],
        )


def input_digests(document: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """role -> object digests, always as tuples, from a recipe document."""
    inputs: Mapping[str, Any] = document.get("inputs") or {}
    return {role: (d,) if isinstance(d, str) else tuple(d) for role, d in inputs.items()}
