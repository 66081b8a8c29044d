"""The index compared with the records, for ``fsck``: only looked at, never mended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from tratree_store import entries as records
from tratree_store import index_file
from tratree_store.entries import Entry
from tratree_store.errors import StoreError, VerificationError
from tratree_store.findings import Finding
from tratree_store.index import Index
from tratree_store.migrations import version_of
from tratree_store.rows import COLUMNS, Row, edges_of, is_row, row_of

_MEND = "`tratree store reindex` builds it anew"
_Key = tuple[str, str]


def differences(index: Index, entries: Path, found: Mapping[_Key, Entry]) -> Iterator[Finding]:
    """What is wrong with the index, given all sound entries; ``entries`` is where records lie."""
    name = index.path.name
    if not index.path.exists():
        if found:
            text = "the index is missing; the next question rebuilds it"
            yield Finding("index", name, text, error=False)
        return
    try:
        connection = index_file.open_to_read(index.path)
        if connection is None:
            yield _unread(index)
            return
        with index_file.readable(), closing(connection):
            if version_of(connection) == 0:
                text = "the index is empty; the next question rebuilds it"
                yield Finding("index", name, text, error=False)
                return
            verdict = index_file.quick_check(connection)
            index_file.is_current(connection)
            # Whoever asks next catches up with these. Asked before the rows: a publication that
            # ends in between would take its mark away and not be among the rows.
            late = index.announced()
            lines = connection.execute(f"SELECT {COLUMNS} FROM entries").fetchall()
            edges = set(connection.execute("SELECT recipe, role, position, object FROM inputs"))
    except (sqlite3.Error, StoreError) as error:
        yield Finding("index", name, f"the index cannot be read ({error}); {_MEND}")
        return
    if verdict != "ok" or not all(map(is_row, lines)):
        verdict = "a row holds values of the wrong type" if verdict == "ok" else verdict
        yield Finding("index", name, f"the index is damaged ({verdict}); {_MEND}")
        return
    rows = {(row.recipe, row.object): row for row in (Row(*line) for line in lines)}
    late |= index.announced()
    for key in sorted(set(rows) - set(found) - late):
        if not records.record_path(entries, *key).exists():  # else it came meanwhile, or is broken
            text = f"the index lists {key[1][:12]}, which has no record; {_MEND}"
            yield Finding("index", name, text)
    for key in sorted(set(found) - set(rows) - late):
        yield Finding("index", name, f"the index does not list {key[1][:12]}; {_MEND}")
    for key in sorted(set(found) & set(rows) - late):
        if rows[key] == row_of(found[key]) and edges.issuperset(edges_of(found[key])):
            continue
        if _is_still(found[key], records.record_path(entries, *key)):
            yield Finding("index", name, f"the index is wrong about {key[1][:12]}; {_MEND}")


def _is_still(entry: Entry, record: Path) -> bool:
    """Whether the record still says what it said; another run may have replaced it meanwhile."""
    try:
        return records.read(record, entry.path.parents[2]) == entry
    except (OSError, VerificationError):
        return False


def _unread(index: Index) -> Finding:
    if index_file.is_file(index.path):
        text = "the index cannot be read by this user or on this disk, and was not checked"
        return Finding("unread", index.path.name, text, error=False)
    return Finding("index", index.path.name, f"the index is not a file; {_MEND}")
