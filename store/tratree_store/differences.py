"""Differences between two artifacts: of what they were made, and of what they contain.

The store knows nothing of metrics or trees; it compares the leaves of JSON values and the files of
manifests, which is enough to say "seed 0 → 1" and "average reward 41.2 → 44.0".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratree_store.entries import Entry
from tratree_store.objects import read_manifest

_MAX_JSON = 4 << 20


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


@dataclass(frozen=True)
class Change:
    """One leaf that differs; ``before`` or ``after`` is ``ABSENT`` where only one side has it."""

    field: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.field}: {show(self.before)} → {show(self.after)}"

    def as_json(self) -> dict[str, Any]:
        """``{"field", "before", "after"}``; an absent side is left out."""
        sides = {"before": self.before, "after": self.after}
        return {"field": self.field, **{k: v for k, v in sides.items() if v is not ABSENT}}


def show(value: Any) -> str:
    """A value in at most 60 characters."""
    text = value if isinstance(value, str) else repr(value)
    if not isinstance(value, str) and value is not ABSENT:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 60 else f"{text[:57]}…"


def changes(before: Any, after: Any, field: str = "") -> Iterator[Change]:
    """The leaves in which two JSON values differ, in order of their names."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            name = f"{field}.{key}" if field else str(key)
            yield from changes(before.get(key, ABSENT), after.get(key, ABSENT), name)
    elif type(before) is not type(after) or before != after:
        # 1 and 1.0 (and True) are equal to Python and different in a key.
        yield Change(field, before, after)


@dataclass(frozen=True)
class Comparison:
    """Two artifacts side by side: recipe, summary, files, and JSON files leaf by leaf."""

    before: Entry
    after: Entry
    recipe: tuple[Change, ...]
    summary: tuple[Change, ...]
    files: tuple[Change, ...]
    contents: tuple[Change, ...]

    @property
    def same_content(self) -> bool:
        """Whether they are the same object."""
        return self.before.object == self.after.object

    def as_json(self) -> dict[str, Any]:
        """Everything as one JSON object."""
        parts = ("recipe", "summary", "files", "contents")
        return {
            "before": self.before.ref,
            "after": self.after.ref,
            "same_content": self.same_content,
            **{part: [c.as_json() for c in getattr(self, part)] for part in parts},
        }


def compare(objects: Path, before: Entry, after: Entry) -> Comparison:
    """Compare two entries; files are ``sha256`` (12 digits) and size, small JSON files leaf-wise.

    Raises ``VerificationError`` if one of the objects cannot be read.
    """
    sides = [
        {f.path: f for f in read_manifest(objects, entry.object).files} for entry in (before, after)
    ]
    files, contents = [], []
    for name in sorted({*sides[0], *sides[1]}):
        old, new = sides[0].get(name), sides[1].get(name)
        if old == new:
            continue
        said = [f"{f.sha256[:12]} ({f.size} bytes)" if f else ABSENT for f in (old, new)]
        files.append(Change(name, *said))
        if old and new and name.endswith(".json") and max(old.size, new.size) <= _MAX_JSON:
            contents += _json_changes(name, before.path / name, after.path / name)
    return Comparison(
        before,
        after,
        tuple(changes(before.document, after.document)),
        tuple(changes(before.summary, after.summary)),
        tuple(files),
        tuple(contents),
    )


def _json_changes(name: str, before: Path, after: Path) -> list[Change]:
    try:
        sides = [json.loads(path.read_bytes()) for path in (before, after)]
    except (OSError, ValueError, RecursionError):
        return []
    return list(changes(sides[0], sides[1], name))
