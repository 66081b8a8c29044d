"""The SQLite file of the index: how it is opened, and replaced as a whole.

A new index is built beside and renamed into place, so a kill in the middle leaves the old one or
none. The old one's journal goes before: SQLite would play it back onto the new file. Damage may
show in any error that SQLite has, for a page is checked only when it is read, and a flipped byte in
the header can look like a newer format or a read-only file; so every error that waiting or making
room cannot cure is taken for damage.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from tratree_store.atomic import make_folder, sync_file, sync_folder, unique
from tratree_store.faults import point
from tratree_store.filesystems import has_shared_memory
from tratree_store.group_access import inherit
from tratree_store.locks import flock_works
from tratree_store.migrations import MIGRATIONS, refuse_newer
from tratree_store.objects import remove_folder

BUSY_SECONDS = 60.0
SIDE_FILES = ("-journal", "-wal", "-shm")
#: Errors that a new file would not cure.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_NOMEM,
}


def is_damage(error: sqlite3.Error) -> bool:
    """Whether a new file would cure what SQLite says."""
    return _code(error) not in _PASSING


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Raise what a damaged file makes Python's module stumble over as an error of SQLite's.

    A name in the schema that is not UTF-8 any more is quoted in SQLite's message, which the module
    then cannot decode.
    """
    try:
        yield
    except (UnicodeDecodeError, SystemError) as error:
        raise sqlite3.DatabaseError(f"its text cannot be read: {error}") from error


def no_room(error: Exception) -> bool:
    """Whether an error of the system or of SQLite means that the disk is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # Without room SQLite cannot create its journal (CANTOPEN) or extend shared memory (IOERR).
    full = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
    return isinstance(error, sqlite3.Error) and _code(error) in full


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_file(path: Path) -> bool:
    """Whether a plain file lies there: SQLite would wait for ever for a FIFO to be written."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether the index has this program's version; raises ``NewerStore`` for a newer one."""
    return refuse_newer(connection) == len(MIGRATIONS)


def open_to_read(path: Path) -> sqlite3.Connection | None:
    """A read-only connection; None if the file is missing or cannot be read here as it is now.

    Raises ``sqlite3.Error`` for a damaged file and ``NewerStore`` for a newer one.
    """
    if not is_file(path):
        return None
    connection = sqlite3.connect(
        f"file:{_quoted(path)}?mode=ro", uri=True, timeout=BUSY_SECONDS, check_same_thread=False
    )
    try:
        with readable():
            connection.execute("PRAGMA schema_version").fetchone()
        return connection
    except sqlite3.OperationalError as error:
        connection.close()
        # A read-only folder has no place for the shared memory of the write-ahead log. Then only
        # a file without a log can be read: what is in the log would be overlooked.
        blocked = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)
        if _code(error) not in blocked or _has_log(path):
            if is_damage(error) and _code(error) not in blocked:
                raise
            return None
    except BaseException:
        connection.close()
        raise
    return sqlite3.connect(f"file:{_quoted(path)}?mode=ro&immutable=1", uri=True)


def _has_log(path: Path) -> bool:
    for suffix in ("-wal", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            if path.with_name(path.name + suffix).stat().st_size > 0:
                return True
    return False


def open_to_write(
    path: Path, lock: Path, *, durable: bool, warn: Callable[[str], None], is_new: bool
) -> sqlite3.Connection:
    """A connection whose transactions are the caller's; ``lock`` is a file to try ``flock`` on."""
    # The module's own implicit transactions would begin deferred.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        local = has_shared_memory(path.parent)
        shared = local and flock_works(lock)
        mode = "wal" if shared else "delete"
        current = connection.execute("PRAGMA journal_mode").fetchone()[0]
        if current != mode:
            connection.execute(f"PRAGMA journal_mode = {mode}")
        if not shared and (is_new or current != mode):
            what = "has no working locks" if local else "is on a network file system"
            warn(
                f"{path.parent} {what}: the index uses a rollback journal, which is slower; "
                "the store is safe all the same"
            )
        if not shared:
            # A long transaction whose pages spill would shut readers out until it ends.
            connection.execute("PRAGMA cache_spill = OFF")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
    except BaseException:
        connection.close()
        raise
    return connection


def replace(
    path: Path, scratch: Path, fill: Callable[[sqlite3.Connection], int], *, durable: bool
) -> int:
    """Build a new index with ``fill`` and let it take the place of whatever lies at ``path``.

    Runs under the index's lock; returns what ``fill`` returned.
    """
    for left in scratch.glob("index-*"):
        remove_folder(left)  # of a process that died under the lock that we hold
    draft = scratch / f"index-{unique()}"
    try:
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            # Nobody sees the draft, and what is left of it after a crash is thrown away.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            count = fill(connection)
            connection.commit()
        finally:
            connection.close()
        inherit(draft)
        if durable:
            sync_file(draft)
        point("index.built")
        _clear(path, scratch.parent / "quarantine")
        if durable:
            sync_folder(path.parent)
        point("index.cleared")
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)
    return count


def _clear(path: Path, quarantine: Path) -> None:
    # The file before its journals: without them it would be an older index that looks sound.
    for each in (path, *(path.with_name(path.name + suffix) for suffix in SIDE_FILES)):
        if each.is_dir():
            make_folder(quarantine, durable=False)
            each.rename(quarantine / f"{each.name}-{unique()}")
        else:
            each.unlink(missing_ok=True)


def quick_check(connection: sqlite3.Connection) -> str:
    """``ok``, or what SQLite finds wrong with the structure of the file."""
    return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def _quoted(path: Path) -> str:
    text = os.fsencode(path.absolute()).decode("utf-8", "surrogateescape")
    return text.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
