"""The rows of the index, read from the records on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratree_store import entries as records
from tratree_store import gone
from tratree_store.entries import Entry
from tratree_store.errors import VerificationError
from tratree_store.rows import edges_of, row_of

Progress = Callable[[int], None]
_BATCH = 2000


@dataclass(frozen=True)
class Records:
    """Where the records of a store lie; ``warn`` is told of those that cannot be read."""

    entries: Path
    gone: Path
    objects: Path
    warn: Callable[[str], None]

    def fill(self, database: Any, on_progress: Progress | None) -> int:
        """Insert a row for every record (``database`` is sqlite_utils'); returns how many."""
        count = 0
        batch: list[Entry] = []
        for entry in self._present():
            batch.append(entry)
            count += 1
            if len(batch) == _BATCH:
                insert(database, batch)
                batch.clear()
                if on_progress is not None:
                    on_progress(count)
        insert(database, batch)
        database["gone"].insert_all(
            (
                {"recipe": e.recipe, "object": e.object, "stage": e.stage, "created": e.created}
                for e in self._former()
            ),
            pk=("recipe", "object"),
            replace=True,
        )
        return count

    def _present(self) -> Iterator[Entry]:
        for path in records.all_records(self.entries):
            try:
                yield records.read(path, self.objects)
            except VerificationError as error:
                self.warn(f"{error}; it is left out of the index, see `tratree store fsck`")
            except FileNotFoundError:
                continue  # collected meanwhile
            except OSError as error:
                self.warn(
                    f"{path} cannot be read ({error.strerror or error}); it is left out of the "
                    "index, see `tratree store fsck`"
                )

    def _former(self) -> Iterator[Entry]:
        for path in records.all_records(self.gone):
            with contextlib.suppress(OSError, VerificationError):
                yield gone.read(path, self.objects).entry


def insert(database: Any, entries: list[Entry]) -> None:
    """Insert or replace the rows and edges of these entries, inside the caller's transaction."""
    rows = (vars(row_of(entry)) for entry in entries)
    names = ("recipe", "role", "position", "object")
    edges = (dict(zip(names, edge, strict=True)) for entry in entries for edge in edges_of(entry))
    # Inside a transaction these become savepoints.
    database["entries"].insert_all(rows, pk=("recipe", "object"), replace=True)
    database["inputs"].insert_all(edges, pk=("recipe", "role", "position"), replace=True)
