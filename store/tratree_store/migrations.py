"""The tables of the index by version, and the format number of the store on disk.

The index is a cache: one of an older version is built anew. A store or index of a newer version is
refused, because writing the old form into it could lose what only the newer one knows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

from tratree_store.atomic import read_plain
from tratree_store.errors import NewerStore, StoreError

#: Format of objects/, entries/, refs/ on disk.
STORE_FORMAT = 1
FORMAT_FILE = "format.json"

#: Statement lists; the index's ``user_version`` is how many of them were applied.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE entries (
            recipe TEXT NOT NULL, object TEXT NOT NULL, kind TEXT NOT NULL, stage TEXT NOT NULL,
            created REAL NOT NULL, seconds REAL NOT NULL, size INTEGER NOT NULL,
            PRIMARY KEY (recipe, object)) WITHOUT ROWID""",
        "CREATE INDEX entries_object ON entries (object, created)",
        "CREATE INDEX entries_created ON entries (created)",
        "CREATE INDEX entries_kind ON entries (kind, created)",
        "CREATE INDEX entries_stage ON entries (stage, created)",
    ),
    (
        """CREATE TABLE inputs (
            recipe TEXT NOT NULL, role TEXT NOT NULL, position INTEGER NOT NULL,
            object TEXT NOT NULL, PRIMARY KEY (recipe, role, position)) WITHOUT ROWID""",
        "CREATE INDEX inputs_object ON inputs (object)",
    ),
    (
        """CREATE TABLE gone (
            recipe TEXT NOT NULL, object TEXT NOT NULL, stage TEXT NOT NULL,
            created REAL NOT NULL, PRIMARY KEY (recipe, object)) WITHOUT ROWID""",
        "CREATE INDEX gone_stage ON gone (stage, created)",
        "CREATE INDEX gone_object ON gone (object)",
    ),
)


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations this index has seen."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def refuse_newer(connection: sqlite3.Connection) -> int:
    """The index's version; raises ``NewerStore`` if we do not know it."""
    version = version_of(connection)
    if version > len(MIGRATIONS):
        raise NewerStore(
            f"the index has version {version} and this program knows {len(MIGRATIONS)}; "
            "use a newer tratree, or build one for this version with `tratree store reindex`"
        )
    return version


def build(connection: sqlite3.Connection, fill: Callable[[], int]) -> int:
    """Make a new index inside the caller's transaction; returns what ``fill`` returned.

    First the tables, then what ``fill`` puts into them, last the indexes over it: kept up to date
    row by row, an index over digests writes to another page for each row, and those of a large
    store fit into no cache.
    """
    statements = [statement for step in MIGRATIONS for statement in step]
    over = [statement for statement in statements if statement.startswith("CREATE INDEX")]
    for statement in statements:
        if statement not in over:
            connection.execute(statement)
    count = fill()
    for statement in over:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    return count


def check_format(root: Path) -> bool:
    """Whether ``root`` says its format; raises ``NewerStore`` if it is newer than ours."""
    path = root / FORMAT_FILE
    try:
        found = json.loads(read_plain(path, 1 << 16))["format"]
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        raise  # the caller's place is wrong, not the store
    except PermissionError as error:
        raise StoreError(f"{path} may not be read by this user") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(
            f"{path} is unreadable; if this folder is a store, restore the text "
            f'{{"format":{STORE_FORMAT}}}.'
        ) from error
    if not isinstance(found, int) or found > STORE_FORMAT:
        raise NewerStore(
            f"the store in {root} has format {found} and this program knows {STORE_FORMAT}; "
            "use a newer tratree"
        )
    return True
