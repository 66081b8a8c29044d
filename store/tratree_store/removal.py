"""Taking artifacts out of the store, in the order that a kill at any moment survives.

A mark in ``pending/``, a note in ``gone/``, then the record is unlinked, then its row goes, and
only when all of that is on the disk the object is moved away. Where the disk is full, marks, notes
and rows cannot be written: the records go without them, the objects are deleted, and notes and rows
follow in the room that was made. A kill in that stretch costs the answer to "why does this run
again?" and leaves rows that ``tratree store reindex`` removes; it never costs an artifact.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from tratree_store import entries as records
from tratree_store.atomic import read_plain, sync_folder, unique
from tratree_store.errors import StoreError
from tratree_store.gone import note
from tratree_store.index_file import no_room
from tratree_store.objects import folder_of, remove_folder
from tratree_store.rows import Row
from tratree_store.store import Store

_FULL = {errno.ENOSPC, errno.EDQUOT}


class Removal:
    """One removal; the methods are called in the order in which they stand here.

    All but ``delete`` run while the collection lock is held.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._full = False
        self._marks: list[Path] = []
        self._unlisted: list[tuple[str, str]] = []
        #: Records whose note is not written yet, with their bytes.
        self._notes: list[tuple[Path, bytes]] = []
        self._trash: list[Path] = []

    def take_records(self, rows: Iterable[Row]) -> None:
        """Leave marks and notes, and unlink the records."""
        self._unlisted = [(row.recipe, row.object) for row in rows]
        self._announce()
        changed = set()
        for recipe, digest in self._unlisted:
            path = records.record_path(self._store.records, recipe, digest)
            with contextlib.suppress(FileNotFoundError):
                self._notes.append((path, read_plain(path)))
                self._write_notes()
                path.unlink()
            try:
                path.parent.rmdir()
                changed.add(path.parent.parent)
            except OSError:
                changed.add(path.parent)
        for folder in sorted(changed) if self._store.durable else ():
            with contextlib.suppress(FileNotFoundError):
                sync_folder(folder)

    def _announce(self) -> None:
        for recipe, digest in self._unlisted:
            if self._full:
                return
            try:
                self._marks.append(self._store.index.announce(recipe, digest))
            except OSError as error:
                self._note_full(error)
        if self._marks and self._store.durable:
            sync_folder(self._store.index.pending)

    def _write_notes(self) -> None:
        while self._notes and not self._full:
            path, data = self._notes[-1]
            try:
                note(
                    self._store.buried,
                    path,
                    data,
                    "collected",
                    self._store.tmp,
                    self._store.durable,
                )
                self._notes.pop()
            except OSError as error:
                self._note_full(error)

    def _note_full(self, error: OSError) -> None:
        if error.errno not in _FULL:
            raise error
        self._full = True

    def take_rows(self) -> None:
        """Take the rows out of the index, and the marks away."""
        if self._unlisted and not self._full:
            try:
                self._store.index.bury(self._unlisted)
            except (OSError, sqlite3.Error) as error:
                if not no_room(error):
                    raise
                self._full = True
                return
            self._unlisted.clear()
            for mark in self._marks:
                mark.unlink(missing_ok=True)

    def take_objects(self, digests: Iterable[str]) -> None:
        """Move objects away."""
        for digest in digests:
            self._move(folder_of(self._store.objects, digest), f"trash-{digest}")

    def take_leftovers(self, paths: Iterable[Path]) -> None:
        """Move what dead processes left away: at once, so that nobody meets half of it."""
        for path in paths:
            if path.name.startswith("trash-"):
                self._trash.append(path)
                continue
            self._move(path, f"trash-{unique()}-{path.name[:80]}")
            if path.parent == self._store.root / "partial":
                path.with_suffix(".json").unlink(missing_ok=True)

    def _move(self, path: Path, name: str) -> None:
        away = self._store.tmp / name
        remove_folder(away)
        try:
            path.rename(away)
        except FileNotFoundError:
            return
        except OSError as error:
            self._note_full(error)
            away = path  # even a rename needs room here: it is deleted in its place
        self._trash.append(away)

    def delete(self) -> None:
        """Delete what was moved away; the slow part."""
        stuck = []
        for path in self._trash:
            remove_folder(path)
            if path.exists():
                stuck.append(path)
        if stuck:
            self._store.on_warning(
                f"{len(stuck)} folders could not be deleted (the first is {stuck[0]}); "
                "their owner can, with `tratree store gc`"
            )

    def catch_up(self) -> None:
        """Write the notes and rows for which there was no room before."""
        if not self._full:
            return
        self._full = False
        self._write_notes()
        try:
            self._full = False
            self.take_rows()
            failed = self._full
        except StoreError:
            failed = True
        if failed:
            self._store.on_warning(
                "there is still no room for the index; `tratree store reindex` puts it right "
                "when there is"
            )
