"""What the index knows of an entry: a row, and an edge for each of its inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tratree_store.entries import Entry
from tratree_store.keys import is_digest


@dataclass(frozen=True)
class Row:
    """What the index knows about an entry."""

    recipe: str
    object: str
    kind: str
    stage: str
    created: float
    seconds: float
    size: int


def is_row(columns: tuple[Any, ...]) -> bool:
    """Whether what a damaged index answers can be a row at all."""
    return (
        len(columns) == 7
        and all(type(column) is str for column in columns[:4])
        and is_digest(columns[0])
        and is_digest(columns[1])
        and all(type(column) in (float, int) for column in columns[4:6])
        and type(columns[6]) is int
    )


def row_of(entry: Entry) -> Row:
    """The row that an entry should have."""
    return Row(
        recipe=entry.recipe,
        object=entry.object,
        kind=entry.kind,
        stage=entry.stage,
        created=entry.created,
        seconds=entry.seconds,
        size=entry.size,
    )


def edges_of(entry: Entry) -> Iterator[tuple[str, str, int, str]]:
    """(recipe, role, position, object) of each input of an entry."""
    for role, digests in entry.inputs.items():
        for position, digest in enumerate(digests):
            yield entry.recipe, role, position, digest


#: The columns of a ``Row``, for SQL.
COLUMNS = "recipe, object, kind, stage, created, seconds, size"
