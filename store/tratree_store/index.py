"""The index: a SQLite cache of the entry records, for questions that span many of them.

Rows are hints and records decide, so a lost or stale index costs time and never truth. Three rules
keep it complete: a record is announced in ``pending/`` before it comes or goes, until its row is
committed, so whatever dies in between is caught up by the next who looks; writers take a
file lock and ``BEGIN IMMEDIATE``, so that SQLite never answers "database is locked"; an index that
is missing, damaged or of another version is built anew (see ``index_file``; for a reader without
write permission: in memory).

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
from tratree_store import gone, index_file
from tratree_store.atomic import make_folder
from tratree_store.entries import Entry
from tratree_store.errors import (
    NewerStore,
    StoreError,
    VerificationError,
    explained,
)
from tratree_store.faults import point
from tratree_store.index_file import is_damage
from tratree_store.index_rows import Progress, Records, insert
from tratree_store.locks import locked
from tratree_store.migrations import build
from tratree_store.rows import COLUMNS, Row, is_row


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
        self._scratch = root / "tmp"
        self._lock = root / "locks" / "index.lock"
        self._warn = warn
        self._durable = durable
        self._is_new = False
        self._records = Records(self._entries, self._gone, self._objects, warn)

    # -- writing ---------------------------------------------------------------------------

    def add(self, added: Iterable[Entry]) -> None:
        """Insert or replace the rows of these entries."""
        found = list(added)

        def action(database: Any) -> None:
            point("index.begun")
            insert(database, found)

        self._write(action)
        point("index.committed")

    def bury(self, pairs: Iterable[tuple[str, str]], *, unless_recorded: bool = False) -> None:
        """Move the rows of these (recipe, object) pairs from the entries to the gone.

        ``unless_recorded`` leaves the rows of those that have a record after all.
        """
        found = list(pairs)

        def move(database: Any) -> None:
            for recipe, digest in found:
                path = records.record_path(self._entries, recipe, digest)
                if unless_recorded and path.exists():
                    continue
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

    def rebuild(self, on_progress: Progress | None = None) -> int:
        """Read every record into a new index, which replaces this one; returns how many."""
        with locked(self._lock):
            # Those whose record is there already: it will be read.
            marks = [mark for mark in self._marks() if self._settled(mark)]
            count = self._replace(on_progress)
        for mark in marks:
            with contextlib.suppress(OSError):
                mark.unlink(missing_ok=True)
        return count

    def _settled(self, mark: Path) -> bool:
        """Whether nobody is about to write the record that a mark speaks of."""
        recipe, _, digest = mark.name.partition("-")
        recorded = records.record_path(self._entries, recipe, digest).exists()
        return recorded or _is_old(mark)

    def announce(self, recipe: str, digest: str) -> Path:
        """Leave a mark that a record is about to come or go; the caller removes it."""
        make_folder(self.pending, self._durable)
        mark = self.pending / f"{recipe}-{digest}"
        mark.touch()
        return mark

    def _write(self, action: Callable[[Any], Any]) -> Any:
        """``action(sqlite_utils.Database)`` in a transaction that no other writer shares.

        Damage may show anywhere, for SQLite checks a page when it reads it: then the index is
        replaced by a new one, and the action is done there.
        """
        with locked(self._lock):
            if not index_file.is_file(self.path):
                self._replace(None)
            try:
                return self._transaction(action)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._warn_of(error)
                self._replace(None)
                return self._transaction(action)

    def _transaction(self, action: Callable[[Any], Any]) -> Any:
        with index_file.readable(), closing(self._opened()) as connection:
            from sqlite_utils import Database

            try:
                connection.execute("BEGIN IMMEDIATE")
                result = action(Database(connection))
                connection.commit()
                return result
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.rollback()
                raise

    def _opened(self) -> sqlite3.Connection:
        """A connection to an index of this version."""
        connection = self._connect()
        try:
            if index_file.is_current(connection):
                return connection
        except BaseException:
            connection.close()
            raise
        connection.close()
        self._replace(None)
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        is_new, self._is_new = self._is_new, False
        return index_file.open_to_write(
            self.path, self._lock, durable=self._durable, warn=self._warn, is_new=is_new
        )

    def _replace(self, on_progress: Progress | None) -> int:
        def fill(connection: sqlite3.Connection) -> int:
            from sqlite_utils import Database

            return build(connection, lambda: self._records.fill(Database(connection), on_progress))

        make_folder(self._scratch, self._durable)
        self._is_new = True
        return index_file.replace(self.path, self._scratch, fill, durable=self._durable)

    def _warn_of(self, error: sqlite3.Error) -> None:
        self._warn(f"the index {self.path} is damaged ({error}); it is rebuilt from the records")

    # -- reading ---------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection on an index that is complete as of now."""
        if self._entries.is_dir():
            self._catch_up()
        with closing(self._open_read_only()) as connection:
            yield connection

    def _open_read_only(self) -> sqlite3.Connection:
        with contextlib.suppress(sqlite3.Error):
            connection = index_file.open_to_read(self.path)
            if connection is not None:
                try:
                    with index_file.readable():
                        if index_file.is_current(connection):
                            connection.execute("SELECT 1 FROM entries LIMIT 1").fetchone()
                            return connection
                except BaseException:
                    connection.close()
                    raise
                connection.close()
        return self._rebuilt()

    def _rebuilt(self) -> sqlite3.Connection:
        """The index after a rebuild: on disk if that can be written, else in memory."""
        if next(iter(records.all_records(self._entries)), None) is not None:
            try:
                self.add([])  # opening it for writing replaces what is missing or damaged
                connection = index_file.open_to_read(self.path)
                if connection is not None:
                    return connection
            except NewerStore:
                raise
            except (OSError, StoreError, sqlite3.Error):
                pass
            self._warn(f"the index {self.path} cannot be written; reading all records instead")
        return self._in_memory()

    def _in_memory(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:")

        def fill() -> int:
            if next(iter(records.all_records(self._entries)), None) is None:
                return 0
            from sqlite_utils import Database

            return self._records.fill(Database(connection), None)

        build(connection, fill)
        return connection

    def _marks(self) -> list[Path]:
        try:
            return list(self.pending.iterdir())
        except OSError:
            return []

    def announced(self) -> set[tuple[str, str]]:
        """(recipe, object) of the records whose rows may be late."""
        pairs = (mark.name.partition("-") for mark in self._marks())
        return {(recipe, digest) for recipe, _, digest in pairs}

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
                elif _is_old(mark):
                    # A collection on a full disk leaves no note, a dead writer no record.
                    buried.append((mark, (recipe, digest)))
        if late or buried:
            with contextlib.suppress(OSError, StoreError, sqlite3.Error):
                self.add([entry for _, entry in late])
                self.bury([pair for _, pair in buried], unless_recorded=True)
                for mark in [mark for mark, _ in (*late, *buried)]:
                    mark.unlink(missing_ok=True)

    def ask(
        self,
        question: str,
        values: Iterable[Any] = (),
        sound: Callable[[tuple[Any, ...]], bool] = bool,
    ) -> list[tuple[Any, ...]]:
        """The answer to an SQL question; an index in which damage shows is rebuilt first.

        ``sound`` says whether a row of the answer can be one at all.
        """
        given = list(values)

        def answer() -> list[tuple[Any, ...]]:
            with self.reading() as connection, index_file.readable():
                found = connection.execute(question, given).fetchall()
            if not all(map(sound, found)):
                raise sqlite3.DatabaseError("a row holds values of the wrong type")
            return found

        try:
            return answer()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            self._warn(f"the index {self.path} is damaged ({error}); it is read anew")
        try:
            self.rebuild()
            return answer()
        except (OSError, StoreError, sqlite3.Error):
            with closing(self._in_memory()) as connection:
                return connection.execute(question, given).fetchall()

    def rows(
        self, where: str = "1", values: Iterable[Any] = (), limit: int | None = None
    ) -> list[Row]:
        """The rows that satisfy an SQL condition, newest first."""
        # Without a limit "+" keeps SQLite from walking the whole index of times for a few rows.
        by = "created" if limit is not None else "+created"
        with explained("read the index", self.path.parent):
            found = self.ask(
                f"SELECT {COLUMNS} FROM entries WHERE {where} "
                f"ORDER BY {by} DESC, recipe, object LIMIT ?",
                [*values, -1 if limit is None else limit],
                is_row,
            )
            return [Row(*columns) for columns in found]

    def unordered(self) -> list[Row]:
        """All rows, in whatever order is quickest."""
        with explained("read the index", self.path.parent):
            found = self.ask(f"SELECT {COLUMNS} FROM entries", (), is_row)
            return [Row(*columns) for columns in found]

    def edges(self) -> list[tuple[str, str]]:
        """(recipe, object that it was made from), for all entries."""
        with explained("read the index", self.path.parent):
            return self.ask("SELECT recipe, object FROM inputs", (), _are_texts)

    def former(self, where: str, values: Iterable[Any], limit: int = 1) -> list[tuple[str, str]]:
        """(recipe, object) of former entries that satisfy an SQL condition, newest first."""
        return self.ask(
            f"SELECT recipe, object FROM gone WHERE {where} ORDER BY created DESC LIMIT ?",
            [*values, limit],
            _are_texts,
        )


def _are_texts(columns: tuple[Any, ...]) -> bool:
    return all(type(column) is str for column in columns)


def _is_old(mark: Path) -> bool:
    try:
        return time.time() - mark.stat().st_mtime > 86400
    except OSError:
        return False
