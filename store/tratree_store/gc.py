"""Garbage collection: what nobody needs any more goes; the question is only what is needed.

Kept are the objects of names and pins, everything made or found in the last ``younger_than``
seconds, everything a running process holds (recipe locks and leases say so), and, unless
``drop_inputs``, everything that any of these was made from. A plan can be looked at before it is
carried out, with what remaking would cost. Carrying out takes the collection lock, under which no
artifact can be added, and plans again inside it: between looking and deleting the world moves on.

A collection reads names and records, never the index, and it fails closed: while a name or a record
is damaged, or a process does not say what it uses, nothing is taken.

Records go to ``gone/`` first, rows second, objects last (by a rename; the slow deletion happens
after the lock is given back). A kill in between leaves an object without a record, which the next
collection takes. Whoever finds an artifact takes a lease and then looks whether its record is still
there; the collector looks for leases once more when the records are gone. So one of the two always
sees the other: either the object stays for its user, or the user is told that it is gone.

On a full disk nothing can be written before something was freed: then the notes in ``gone/`` and
the rows of the index follow when the objects are deleted (see ``removal``).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratree_store import entries as records
from tratree_store.catalogue import Catalogue, from_index, from_records
from tratree_store.errors import LockTimeout, StoreError, VerificationError, explained
from tratree_store.faults import point
from tratree_store.held_locks import live_holders
from tratree_store.leftovers import age, leftovers
from tratree_store.locks import locked
from tratree_store.objects import all_digests, folder_of, walk
from tratree_store.removal import Removal
from tratree_store.rows import Row
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


def plan(
    store: Store,
    *,
    younger_than: float = WEEK,
    drop_inputs: bool = False,
    catalogue: Catalogue | None = None,
) -> Plan:
    """What ``collect`` would take now; changes nothing.

    Args:
        store: the store.
        younger_than: seconds for which everything made or found is kept.
        drop_inputs: do not keep what kept artifacts were made from.
        catalogue: what there is; by default what the index says.

    Raises ``VerificationError`` while a name is damaged, ``LockTimeout`` while a process does not
    say what it uses.
    """
    store.check_format()
    now = time.time()
    there = from_index(store) if catalogue is None else catalogue
    recipes_of = there.recipes_of()
    # Holders before names: who has made or found something and names it lets go of it only then.
    kept = set(in_use(store))
    kept |= set(_named(store, recipes_of))
    kept |= set(_used_since(store, there.rows, now - younger_than))
    if not drop_inputs:
        todo = list(kept)
        while todo:
            for recipe in recipes_of.get(todo.pop(), ()):
                fresh = {d for d in there.made_from.get(recipe, ()) if d not in kept}
                kept |= fresh
                todo += fresh
    going = [row for row in there.rows if row.object not in kept]
    going.sort(key=lambda row: row.created, reverse=True)
    orphans = [
        digest
        for digest in all_digests(store.objects)
        if digest not in recipes_of
        and digest not in kept
        and age(folder_of(store.objects, digest), now) > younger_than
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
    """Take what ``plan`` finds in the records; returns what was taken.

    Raises what ``plan`` raises, and ``VerificationError`` while a record is damaged.
    """
    with explained("collect garbage", store.root):
        is_store = store.root.is_dir()
    if not is_store:
        return plan(store, younger_than=younger_than, drop_inputs=drop_inputs)
    store.prepare()
    with explained("collect garbage", store.root):
        removal = Removal(store)
        with locked(store.locks / "gc.lock"):
            found = plan(
                store,
                younger_than=younger_than,
                drop_inputs=drop_inputs,
                catalogue=from_records(store),
            )
            removal.take_records(found.entries)
            point("gc.buried")
            removal.take_rows()
            point("gc.unlisted")
            removal.take_objects(_not_leased(store, found.objects))
            removal.take_leftovers(found.leftovers)
            point("gc.moved")
        removal.delete()
        with locked(store.locks / "gc.lock"):
            removal.catch_up()
    return found


def _not_leased(store: Store, digests: Iterable[str]) -> list[str]:
    """Those that nobody has begun to use since the plan; none if that cannot be known."""
    try:
        leased = set(in_use(store))
    except LockTimeout:
        return []  # their records are gone: the next collection takes them as orphans
    return [digest for digest in digests if digest not in leased]


def _named(store: Store, recorded: dict[str, list[str]]) -> Iterator[str]:
    for name in store.refs.names():
        try:
            naming = store.refs.current(name)
        except VerificationError as error:
            raise VerificationError(
                f"{error}, so what it keeps is unknown and nothing was collected; "
                "`tratree store fsck --repair` restores what it meant"
            ) from error
        if naming is None:
            continue
        if (
            naming.object not in recorded
            and not records.record_path(store.records, naming.recipe, naming.object).exists()
        ):
            raise VerificationError(
                f"the name {name!r} means {naming.ref[:24]}, which has no record, so what it was "
                "made from is unknown and nothing was collected; run `tratree store fsck --repair`"
            )
        yield naming.object


def in_use(store: Store) -> Iterator[str]:
    """Objects that running processes hold; raises ``LockTimeout`` if one does not say which."""
    yield from store.leases.digests
    for path, holder in live_holders(store.locks, but=store.leases.path):
        if holder is None:
            raise LockTimeout(
                f"whoever holds {path.name} could not write what it uses (a full disk?), so "
                "nothing was collected; end that process, or free some room, and run again"
            )
        yield from (need for need in holder.needs if not need.startswith("partial:"))
        for record in records.of_recipe(store.records, path.stem):
            yield record.stem


def _used_since(store: Store, rows: Iterable[Row], moment: float) -> Iterator[str]:
    """Objects that were made, or whose record was touched by a lookup, after ``moment``."""
    base = str(store.records)
    for row in rows:
        if row.created > moment:
            yield row.object
            continue
        with contextlib.suppress(OSError):
            path = f"{base}/{row.recipe[:2]}/{row.recipe[2:]}/{row.object}.json"
            if os.stat(path).st_mtime > moment:  # noqa: PTH116 - see ``names_in``
                yield row.object


def _size(folder: Path) -> int:
    try:
        return sum(status.st_size for _, _, status in walk(folder))
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror}") from error
