"""The index: a SQLite cache of the entry records, for questions that span many of them.

Rows are hints and records decide, so a lost or stale index costs time and never truth. Three rules
keep it complete: a record is announced in ``pending/`` before it comes or goes, until its row is
committed, so whatever dies in between is caught up by the next who looks; writers take a
file lock and ``BEGIN IMMEDIATE``, so that SQLite never answers "database is locked"; an index that
is missing or unreadable is rebuilt (for a reader without write permission: in memory).

Reading uses only ``sqlite3``; ``sqlite_utils`` is imported where rows are written.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tratree_store import entries as records
from tratree_store import gone
from tratree_store.atomic import make_folder
from tratree_store.entries import Entry
from tratree_store.errors import StoreError, VerificationError, explained, refuse_passing
from tratree_store.faults import point
from tratree_store.filesystems import has_shared_memory
from tratree_store.locks import flock_works, locked
from tratree_store.migrations import MIGRATIONS, migrate, refuse_newer
from tratree_store.rows import COLUMNS, Row, edges_of, row_of

_BUSY_SECONDS = 60.0


class Index:
    """The index of one store.

    Args:
        root: folder of the store.
        warn: told about trouble that was worked around.
        durable: flush commits to the disk.
    """

    def __init__(self, root: Path, warn: Callable[[str], None], durable: bool = True) -> None:
        self.path = root / "index.db"
        self.pending = root / "pending"
        self._entries = root / "entries"
        self._gone = root / "gone"
        self._objects = root / "objects"
        self._lock = root / "locks" / "index.lock"
        self._warn = warn
        self._durable = durable

    # -- writing ---------------------------------------------------------------------------

    def add(self, added: Iterable[Entry]) -> None:
        """Insert or replace the rows of these entries."""
        found = list(added)

        def insert(database: Any) -> None:
            point("index.begun")
            self._insert(database, found)

        self._write(insert)
        point("index.committed")

    def bury(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Move the rows of these (recipe, object) pairs from the entries to the gone."""
        found = list(pairs)

        def move(database: Any) -> None:
            for recipe, digest in found:
                database.execute(
                    "INSERT OR REPLACE INTO gone SELECT recipe, object, stage, created "
                    "FROM entries WHERE recipe = ? AND object = ?",
                    [recipe, digest],
                )
                database.execute(
                    "DELETE FROM entries WHERE recipe = ? AND object = ?", [recipe, digest]
                )
                database.execute(
                    "DELETE FROM inputs WHERE recipe = ? AND NOT EXISTS "
                    "(SELECT 1 FROM entries WHERE recipe = ?)",
                    [recipe, recipe],
                )

        self._write(move)

    def rebuild(self, on_progress: Callable[[int], None] | None = None) -> int:
        """Throw the rows away and read every record again; returns how many there are."""

        def again(database: Any) -> int:
            for table in ("entries", "inputs", "gone"):
                database.execute(f"DELETE FROM {table}")
            return self._fill(database, on_progress)

        count: int = self._write(again, fill=False)
        for mark in self._marks():
            mark.unlink(missing_ok=True)
        return count

    def announce(self, recipe: str, digest: str) -> Path:
        """Leave a mark that a record is about to come or go; the caller removes it."""
        make_folder(self.pending, self._durable)
        mark = self.pending / f"{recipe}-{digest}"
        mark.touch()
        return mark

    def _write(self, action: Callable[[Any], Any], *, fill: bool = True) -> Any:
        """``action(sqlite_utils.Database)`` in a transaction that no other writer shares.

        A new or migrated index is filled from the records first, unless the action does it. Damage
        may show anywhere, for SQLite checks a page when it reads it: then the index is replaced by
        a new one, and the action is done there.
        """
        with locked(self._lock):
            try:
                return self._transaction(action, fill)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._move_aside(error)
                return self._transaction(action, fill)

    def _transaction(self, action: Callable[[Any], Any], fill: bool) -> Any:
        with closing(self._opened()) as connection:
            from sqlite_utils import Database

            database = Database(connection)
            try:
                connection.execute("BEGIN IMMEDIATE")
                version = migrate(connection)
                if version < len(MIGRATIONS) and fill:
                    self._fill(database, None)
                result = action(database)
                connection.commit()
                return result
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.rollback()
                raise

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            self._move_aside(error)
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        # Transactions are ours: the module's own implicit ones would begin deferred.
        is_new = not self.path.exists()
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            refuse_newer(connection)
            local = has_shared_memory(self.path.parent)
            shared = local and flock_works(self._lock)
            mode = "wal" if shared else "delete"
            current = connection.execute("PRAGMA journal_mode").fetchone()[0]
            if current != mode:
                connection.execute(f"PRAGMA journal_mode = {mode}")
            if not shared:
                # A long transaction whose pages spill would shut readers out until it ends.
                connection.execute("PRAGMA cache_spill = OFF")
            if not shared and (is_new or current != mode):
                what = "has no working locks" if local else "is on a network file system"
                self._warn(
                    f"{self.path.parent} {what}: the index uses a rollback journal, which is "
                    "slower; the store is safe all the same."
                )
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'OFF'}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise StoreError(f"The index {self.path} is in use by another program.") from error
        self._warn(f"The index {self.path} is damaged ({error}); it is rebuilt from the records.")
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _fill(self, database: Any, on_progress: Callable[[int], None] | None) -> int:
        count = 0
        batch: list[Entry] = []
        for entry in self._on_disk():
            batch.append(entry)
            count += 1
            if len(batch) == 2000:
                self._insert(database, batch)
                batch.clear()
                if on_progress is not None:
                    on_progress(count)
        self._insert(database, batch)
        database["gone"].insert_all(
            (
                {"recipe": e.recipe, "object": e.object, "stage": e.stage, "created": e.created}
                for e in self._former()
            ),
            pk=("recipe", "object"),
            replace=True,
        )
        return count

    def _former(self) -> Iterator[Entry]:
        for path in records.all_records(self._gone):
            with contextlib.suppress(OSError, VerificationError):
                yield gone.read(path, self._objects).entry

    def _on_disk(self) -> Iterator[Entry]:
        for path in records.all_records(self._entries):
            try:
                yield records.read(path, self._objects)
            except VerificationError as error:
                self._warn(f"{error} It is left out of the index; see `store fsck`.")
            except FileNotFoundError:
                continue  # collected meanwhile
            except OSError as error:
                refuse_passing(error, path)
                self._warn(
                    f"{path} cannot be read ({error.strerror or error}); it is left out of the "
                    "index; see `store fsck`."
                )

    @staticmethod
    def _insert(database: Any, entries: list[Entry]) -> None:
        rows = (vars(row_of(entry)) for entry in entries)
        names = ("recipe", "role", "position", "object")
        edges = (
            dict(zip(names, edge, strict=True)) for entry in entries for edge in edges_of(entry)
        )
        # Inside our BEGIN IMMEDIATE these become savepoints.
        database["entries"].insert_all(rows, pk=("recipe", "object"), replace=True)
        database["inputs"].insert_all(edges, pk=("recipe", "role", "position"), replace=True)

    # -- reading ---------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection on an index that is complete as of now."""
        if self._entries.is_dir():
            self._catch_up()
        connection = self._open_read_only()
        with closing(connection):
            yield connection

    def _open_read_only(self) -> sqlite3.Connection:
        if self.path.exists():
            # immutable: a read-only folder has no place for the shared memory of WAL.
            for option in ("mode=ro", "mode=ro&immutable=1"):
                connection = sqlite3.connect(
                    f"file:{_quoted(self.path)}?{option}", uri=True, timeout=_BUSY_SECONDS
                )
                try:
                    if refuse_newer(connection) == len(MIGRATIONS):
                        connection.execute("SELECT 1 FROM entries LIMIT 1").fetchone()
                        return connection
                    connection.close()
                    break
                except sqlite3.DatabaseError as error:
                    connection.close()
                    if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                        break  # an immutable look would not see the lock, but half a transaction
                except BaseException:
                    connection.close()
                    raise
        return self._rebuilt()

    def _rebuilt(self) -> sqlite3.Connection:
        """The index after a rebuild: on disk if that can be written, else in memory."""
        if next(iter(records.all_records(self._entries)), None) is not None:
            try:
                self.add([])  # opening it for writing migrates, replaces and fills it
                return sqlite3.connect(f"file:{_quoted(self.path)}?mode=ro", uri=True)
            except (OSError, StoreError, sqlite3.Error):
                self._warn(f"The index {self.path} cannot be written; reading all records instead.")
        return self._in_memory()

    def _in_memory(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:")
        migrate(connection)
        if next(iter(records.all_records(self._entries)), None) is not None:
            from sqlite_utils import Database

            self._fill(Database(connection), None)
        return connection

    def _marks(self) -> list[Path]:
        try:
            return list(self.pending.iterdir())
        except OSError:
            return []

    def _catch_up(self) -> None:
        """Do for the index what writers and collectors died before they could."""
        late: list[tuple[Path, Entry]] = []
        buried: list[tuple[Path, tuple[str, str]]] = []
        for mark in self._marks():
            recipe, _, digest = mark.name.partition("-")
            path = records.record_path(self._entries, recipe, digest)
            with contextlib.suppress(OSError, VerificationError):
                if path.exists():
                    late.append((mark, records.read(path, self._objects)))
                elif gone.path_of(self._gone, recipe, digest).exists():
                    buried.append((mark, (recipe, digest)))
                elif time.time() - mark.stat().st_mtime > 86400:
                    mark.unlink(missing_ok=True)
        if late or buried:
            with contextlib.suppress(OSError, StoreError, sqlite3.Error):
                self.add([entry for _, entry in late])
                self.bury([pair for _, pair in buried])
                for mark in [mark for mark, _ in (*late, *buried)]:
                    mark.unlink(missing_ok=True)

    def ask(self, question: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """The answer to an SQL question; an index in which damage shows is rebuilt first."""
        given = list(values)
        try:
            with self.reading() as connection:
                return connection.execute(question, given).fetchall()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._warn(f"The index {self.path} is damaged ({error}); it is read anew.")
        try:
            self.rebuild()
            with self.reading() as connection:
                return connection.execute(question, given).fetchall()
        except (OSError, StoreError, sqlite3.Error):
            with closing(self._in_memory()) as connection:
                return connection.execute(question, given).fetchall()

    def rows(
        self, where: str = "1", values: Iterable[Any] = (), limit: int | None = None
    ) -> list[Row]:
        """The rows that satisfy an SQL condition, newest first."""
        with explained("read the index", self.path.parent):
            found = self.ask(
                f"SELECT {COLUMNS} FROM entries WHERE {where} "
                "ORDER BY created DESC, recipe, object LIMIT ?",
                [*values, -1 if limit is None else limit],
            )
            return [Row(*columns) for columns in found]

    def former(self, where: str, values: Iterable[Any], limit: int = 1) -> list[tuple[str, str]]:
        """(recipe, object) of former entries that satisfy an SQL condition, newest first."""
        found = self.ask(
            f"SELECT recipe, object FROM gone WHERE {where} ORDER BY created DESC LIMIT ?",
            [*values, limit],
        )
        return [(str(recipe), str(digest)) for recipe, digest in found]


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is not, or no longer, a sound database."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
