"""What garbage collection must know of every entry, from the records or from the index.

The records are the truth and are read one by one; the index answers in a tenth of the time and may
be old or damaged. So a plan that is only shown asks the index, and a collection reads the records:
a wrong row can then spoil a preview, never an artifact.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from tratree_store import entries as records
from tratree_store.errors import VerificationError
from tratree_store.rows import Row, row_of
from tratree_store.store import Store


@dataclass(frozen=True)
class Catalogue:
    """All entries as rows; ``made_from`` is recipe digest -> input object digests."""

    rows: tuple[Row, ...]
    made_from: dict[str, list[str]]

    def recipes_of(self) -> dict[str, list[str]]:
        """Object digest -> the recipes that gave it."""
        found: dict[str, list[str]] = defaultdict(list)
        for row in self.rows:
            found[row.object].append(row.recipe)
        return found


def from_index(store: Store) -> Catalogue:
    """What the index says now."""
    made_from: dict[str, list[str]] = defaultdict(list)
    # In order of time SQLite would fetch each row from another page of a large index.
    rows = store.index.unordered()
    for recipe, digest in store.index.edges():
        made_from[recipe].append(digest)
    return Catalogue(tuple(rows), made_from)


def from_records(store: Store) -> Catalogue:
    """What the records say; raises ``VerificationError`` if one of them cannot be read.

    An unreadable record hides what its artifact was made from, so nothing can be known to be
    unneeded.
    """
    rows, made_from = [], {}
    for path in records.all_records(store.records):
        try:
            entry = records.read(path, store.objects)
        except FileNotFoundError:
            continue
        except VerificationError as error:
            raise VerificationError(
                f"{error}, so what it needs is unknown and nothing was collected; "
                "run `tratree store fsck --repair` first"
            ) from error
        rows.append(row_of(entry))
        made_from[entry.recipe] = [d for digests in entry.inputs.values() for d in digests]
    return Catalogue(tuple(rows), made_from)
