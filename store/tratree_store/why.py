"""Why a stage ran: the reason for a miss, found when it happens and kept with what was made.

The recipe is compared, field by field, with the nearest earlier one of the same stage (fewest
differing fields, then the newest). A changed input is explained by comparing the recipes of the two
inputs in the same way, so that "the pairs changed" ends at "the seed of the rollouts changed". Only
the newest 100 recipes of a stage are looked at: the one that matters is nearly always among them,
and a store of a million artifacts still answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tratree_store.differences import ABSENT, Change, changes, show
from tratree_store.entries import Entry
from tratree_store.gone import Gone
from tratree_store.keys import Recipe, input_digests
from tratree_store.objects import damage

NEAREST_OF = 100
_MAX_DEPTH = 12
_PARTS = {"params": "parameter", "templates": "template", "models": "model"}


@dataclass(frozen=True)
class Reason:
    """Why a recipe is not cached (or that it is), with the reasons behind it.

    Attributes:
        kind: ``first``, ``changed``, ``collected``, ``broken``, ``forced``, ``refused``,
            ``cached``, ``unknown``; inside ``because``: ``field``, ``input``, ``nondeterministic``.
        text: one line for people.
        because: what lies behind it.
        nearest: reference of the earlier artifact it was compared with, if any.
    """

    kind: str
    text: str
    because: tuple[Reason, ...] = ()
    nearest: str = ""

    def as_json(self) -> dict[str, Any]:
        """The form in which it is kept in a record."""
        found: dict[str, Any] = {"kind": self.kind, "text": self.text}
        if self.nearest:
            found["nearest"] = self.nearest
        if self.because:
            found["because"] = [reason.as_json() for reason in self.because]
        return found

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Reason:
        """The reason that ``as_json`` gave; an empty mapping reads as unknown."""
        return cls(
            kind=str(kept.get("kind", "unknown")),
            text=str(kept.get("text", "no reason was kept")),
            because=tuple(cls.from_json(inner) for inner in kept.get("because", ())),
            nearest=str(kept.get("nearest", "")),
        )

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The tree as indented lines."""
        yield "  " * depth + self.text
        for reason in self.because:
            yield from reason.lines(depth + 1)


class Past(Protocol):
    """What an explanation needs of a store: what is there, and what used to be."""

    @property
    def objects(self) -> Path:
        """Where objects lie."""

    def records_of(self, recipe: str) -> list[Entry]:
        """The entries of a recipe digest, newest first."""

    def gone(self, recipe: str) -> Gone | None:
        """The last former entry of a recipe digest."""

    def history_of(self, stage: str, limit: int) -> Iterator[Entry]:
        """The newest entries of a stage, then the newest former ones."""

    def known(self, digest: str) -> Entry | None:
        """The newest entry with this object, or the last former one."""


#: What somebody has against an entry that has the right recipe, in a sentence; "" for nothing.
Accept = Callable[[Entry], str]


def explain(
    store: Past, recipe: Recipe, *, forced: bool = False, accept: Accept | None = None
) -> Reason:
    """Why this recipe would run now; ``cached`` if it would not."""
    return _Explanation(store).of(recipe, forced, accept)


class _Explanation:
    def __init__(self, store: Past) -> None:
        self._store = store
        self._seen: set[tuple[str, str]] = set()

    def of(self, recipe: Recipe, forced: bool, accept: Accept | None) -> Reason:
        broken, refused = [], []
        for entry in self._store.records_of(recipe.digest):
            problems = damage(self._store.objects, entry.object, deep=False)
            if not problems:
                if forced:
                    return Reason("forced", "asked to make it again", nearest=entry.ref)
                if accept is not None and (text := accept(entry)):
                    refused.append(Reason("refused", text, nearest=entry.ref))
                    continue
                return Reason("cached", "cached", nearest=entry.ref)
            broken.append(Reason("field", problems[0]))
        if refused:
            return refused[0]
        if broken:
            return Reason("broken", "the cached artifact is broken", tuple(broken))
        gone = self._store.gone(recipe.digest)
        if gone is not None:
            verb = "was collected" if gone.why == "collected" else "was found broken and put aside"
            return Reason(gone.why, f"the earlier artifact {verb}", nearest=gone.entry.ref)
        return self._compared(recipe)

    def _compared(self, recipe: Recipe) -> Reason:
        document = recipe.document
        nearest = self._nearest(document)
        if nearest is None:
            return Reason("first", f"first time: no {recipe.stage} was made in this store before")
        because = tuple(self._differences(nearest.document, document, 0))
        return Reason("changed", f"compared with {nearest.ref[:24]}:", because, nearest.ref)

    def _nearest(self, document: Mapping[str, Any]) -> Entry | None:
        best: tuple[int, Entry] | None = None
        for entry in self._store.history_of(document["stage"], NEAREST_OF):
            distance = sum(1 for _ in changes(entry.document, document))
            if best is None or distance < best[0]:
                best = (distance, entry)
        return best[1] if best else None

    def _differences(
        self, before: Mapping[str, Any], after: Mapping[str, Any], depth: int
    ) -> Iterator[Reason]:
        for change in changes({**before, "inputs": {}}, {**after, "inputs": {}}):
            yield Reason("field", _sentence(change))
        old, new = input_digests(before), input_digests(after)
        for role in sorted({*old, *new}):
            was, now = old.get(role, ()), new.get(role, ())
            if was != now:
                yield self._input(role, was, now, depth)

    def _input(self, role: str, was: tuple[str, ...], now: tuple[str, ...], depth: int) -> Reason:
        if not was or not now:
            change = Change(f"inputs.{role}", _short(was) or ABSENT, _short(now) or ABSENT)
            return Reason("input", _sentence(change))
        text = f"input {role} changed: {_short(was)} → {_short(now)}"
        pairs = [(a, b) for a, b in zip(was, now, strict=False) if a != b]
        if len(was) != len(now):
            text = f"input {role} changed: {len(was)} → {len(now)} artifacts"
            pairs = []
        return Reason("input", text, tuple(r for a, b in pairs for r in self._objects(a, b, depth)))

    def _objects(self, before: str, after: str, depth: int) -> Iterator[Reason]:
        if depth >= _MAX_DEPTH or (before, after) in self._seen:
            return
        self._seen.add((before, after))
        old, new = self._store.known(before), self._store.known(after)
        if old is None or new is None:
            missing = before if old is None else after
            yield Reason("field", f"nothing is known about {missing[:12]}")
        elif old.recipe == new.recipe:
            details = changes(_circumstances(old), _circumstances(new))
            because = tuple(Reason("field", _sentence(change)) for change in details)
            yield Reason("nondeterministic", "the same recipe gave other bytes", because)
        else:
            yield from self._differences(old.document, new.document, depth + 1)


def _circumstances(entry: Entry) -> dict[str, Any]:
    names = ("versions", "threads", "device")
    return {name: entry.provenance[name] for name in names if name in entry.provenance}


def _short(digests: tuple[str, ...]) -> str:
    return ", ".join(digest[:12] for digest in digests[:4]) + (" …" if len(digests) > 4 else "")


def _sentence(change: Change) -> str:
    part, _, name = change.field.partition(".")
    sides = f"{show(change.before)} → {show(change.after)}"
    if part == "stage_version":
        return f"stage version changed: {sides}"
    if part == "inputs":
        return f"input {name} changed: {sides}"
    if part in ("templates", "models"):
        sides = " → ".join(show(_cut(side)) for side in (change.before, change.after))
    return f"{_PARTS.get(part, part)} {name} changed: {sides}".replace("  ", " ")


def _cut(side: Any) -> Any:
    return side[:12] if isinstance(side, str) and len(side) == 64 else side
