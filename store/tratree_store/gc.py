"""Garbage collection: what nobody needs any more goes; the question is only what is needed.

Kept are the objects of names and pins, everything made or found in the last ``younger_than``
seconds, everything a running process holds (recipe locks and leases say so), and, unless
``drop_inputs``, everything that any of these was made from. A plan can be looked at before it is
carried out, with what remaking would cost. Carrying out takes the collection lock, under which no
artifact can be added, and plans again inside it: between looking and deleting the world moves on.

Records go to ``gone/`` first, rows second, objects last (by a rename; the slow deletion happens
after the lock is given back). A kill in between leaves an object without a record, which the next
collection takes. Whoever finds an artifact takes a lease and then looks whether its record is still
there; the collector looks for leases once more when the records are gone. So one of the two always
sees the other: either the object stays for its user, or the user is told that it is gone.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratree_store import entries as records
from tratree_store.errors import StoreError, explained
from tratree_store.faults import point
from tratree_store.gone import bury
from tratree_store.locks import live_holders, locked
from tratree_store.objects import all_digests, folder_of, remove_folder, walk
from tratree_store.rows import COLUMNS, Row
from tratree_store.store import Store

WEEK = 7 * 86400.0


@dataclass(frozen=True)
class Plan:
    """What a collection would take.

    Attributes:
        entries: rows whose objects go, newest first.
        orphans: digests of objects without any record (a process died before it wrote one).
        leftovers: folders of dead processes and partial results nobody touched.
        kept: number of objects that stay.
        size: bytes that would be freed, objects only.
        seconds: what the stages took that made the entries.
    """

    entries: tuple[Row, ...]
    orphans: tuple[str, ...]
    leftovers: tuple[Path, ...]
    kept: int
    size: int
    seconds: float

    @property
    def objects(self) -> tuple[str, ...]:
        """Digests of the objects that go."""
        return (*dict.fromkeys(row.object for row in self.entries), *self.orphans)

    def as_json(self) -> dict[str, Any]:
        """The totals."""
        return {
            "objects": len(self.objects),
            "entries": len(self.entries),
            "orphans": len(self.orphans),
            "leftovers": len(self.leftovers),
            "kept": self.kept,
            "size": self.size,
            "seconds": round(self.seconds, 3),
        }


def plan(store: Store, *, younger_than: float = WEEK, drop_inputs: bool = False) -> Plan:
    """What ``collect`` would take now; changes nothing."""
    store.check_format()
    now = time.time()
    # Unordered: in order of time SQLite would fetch each row from another page of a large index.
    rows = store.index.ask(f"SELECT {COLUMNS} FROM entries")
    made_from: dict[str, list[str]] = defaultdict(list)
    for recipe, digest in store.index.ask("SELECT recipe, object FROM inputs"):
        made_from[recipe].append(digest)
    recipes_of: dict[str, list[str]] = defaultdict(list)
    for recipe, digest, *_ in rows:
        recipes_of[digest].append(recipe)

    kept = set(_named(store)) | set(_in_use(store))
    kept |= set(_used_since(store, rows, now - younger_than))
    if not drop_inputs:
        todo = list(kept)
        while todo:
            for recipe in recipes_of.get(todo.pop(), ()):
                fresh = [digest for digest in made_from[recipe] if digest not in kept]
                kept.update(fresh)
                todo += fresh
    going = [Row(*columns) for columns in rows if columns[1] not in kept]
    going.sort(key=lambda row: row.created, reverse=True)
    orphans = [
        digest
        for digest in all_digests(store.objects)
        if digest not in recipes_of
        and digest not in kept
        and _age(folder_of(store.objects, digest), now) > younger_than
    ]
    sizes = {row.object: row.size for row in going}
    sizes |= {digest: _size(folder_of(store.objects, digest)) for digest in orphans}
    return Plan(
        entries=tuple(going),
        orphans=tuple(orphans),
        leftovers=tuple(leftovers(store, now, younger_than)),
        kept=len(kept & set(recipes_of)),
        size=sum(sizes.values()),
        seconds=sum(row.seconds for row in going),
    )


def collect(store: Store, *, younger_than: float = WEEK, drop_inputs: bool = False) -> Plan:
    """Take what ``plan`` finds; returns what was taken. Raises ``StoreError`` if it cannot."""
    if not store.root.is_dir():
        return plan(store, younger_than=younger_than, drop_inputs=drop_inputs)
    store.prepare()
    with explained("collect garbage", store.root):
        with locked(store.locks / "gc.lock"):
            found = plan(store, younger_than=younger_than, drop_inputs=drop_inputs)
            trash = _take(store, found)
        for folder in (*trash, *found.leftovers):
            remove_folder(folder)
            folder.with_suffix(".json").unlink(missing_ok=True)
    return found


def _take(store: Store, found: Plan) -> list[Path]:
    buried, marks = [], []
    for row in found.entries:
        marks.append(store.index.announce(row.recipe, row.object))
        path = records.record_path(store.records, row.recipe, row.object)
        with contextlib.suppress(FileNotFoundError):
            bury(store.buried, path, "collected", store.tmp, store.durable)
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        buried.append((row.recipe, row.object))
    point("gc.buried")
    if buried:
        store.index.bury(buried)
    for mark in marks:
        mark.unlink(missing_ok=True)
    point("gc.unlisted")
    leased = set(_in_use(store))
    trash = []
    for digest in found.objects:
        if digest in leased:
            continue
        away = store.tmp / f"trash-{digest}"
        remove_folder(away)
        with contextlib.suppress(FileNotFoundError):
            folder_of(store.objects, digest).rename(away)
            trash.append(away)
    point("gc.moved")
    return trash


def _named(store: Store) -> Iterator[str]:
    for name in store.refs.names():
        # A damaged history still protects everything that its sound lines mention last.
        history = store.refs.sound_history(name)
        if history and history[-1].object:
            yield history[-1].object


def _in_use(store: Store) -> Iterator[str]:
    for path, holder in live_holders(store.locks):
        yield from (need for need in holder.needs if not need.startswith("partial:"))
        recipe = path.stem
        for record in records.of_recipe(store.records, recipe):
            yield record.stem


def _used_since(store: Store, rows: list[tuple[Any, ...]], moment: float) -> Iterator[str]:
    """Objects that were made, or whose record was touched by a lookup, after ``moment``."""
    base = str(store.records)
    for recipe, digest, _, _, created, *_ in rows:
        if created > moment:
            yield digest
            continue
        with contextlib.suppress(OSError):
            path = f"{base}/{recipe[:2]}/{recipe[2:]}/{digest}.json"
            if os.stat(path).st_mtime > moment:  # noqa: PTH116 - see ``names_in``
                yield digest


def leftovers(store: Store, now: float, younger_than: float) -> Iterator[Path]:
    """Working folders whose process is gone, and partial results that nobody touched."""
    busy = {path.stem for path, _ in live_holders(store.locks)}
    if store.tmp.is_dir():
        for path in sorted(store.tmp.iterdir()):
            recipe = path.name.removeprefix("build-")[:64]
            if path.name.startswith("build-"):
                if recipe not in busy:
                    yield path
            elif path.name.startswith("trash-") or _newest(path, now) > max(younger_than, 3600):
                yield path
    incoming = store.root / "incoming"
    for path in sorted(incoming.iterdir()) if incoming.is_dir() else ():
        if _age(path, now) > max(younger_than, 3600):
            yield path
    in_use = {need for _, holder in live_holders(store.locks) for need in holder.needs}
    partial = store.root / "partial"
    if partial.is_dir():
        for path in sorted(partial.iterdir()):
            if (
                path.is_dir()
                and f"partial:{path.name}" not in in_use
                and _newest(path, now) > younger_than
            ):
                yield path


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except OSError:
        return 0.0


def _newest(path: Path, now: float) -> float:
    """Seconds since anything under ``path`` changed."""
    age = _age(path, now)
    for folder, _, files in os.walk(path):
        for name in (".", *files):
            age = min(age, _age(Path(folder) / name, now))
    return age


def _size(folder: Path) -> int:
    try:
        return sum(status.st_size for _, _, status in walk(folder))
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror}.") from error
