"""What may go wrong in a store, as sentences for people and exit codes for programs.

Every message says what is wrong, where, and what to do. ``explained`` turns the operating system's
errors (a full disk, a read-only folder) into such sentences at the edge of each operation, so that
the code between stays free of handlers.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar


class StoreError(Exception):
    """Base of everything the store raises on purpose."""

    exit_code: ClassVar[int] = 1


class KeyValueError(StoreError, ValueError):
    """A value that must not be part of a key: NaN, a set, a path of this machine."""

    exit_code: ClassVar[int] = 2


class UnknownReference(StoreError):  # noqa: N818 - the names are the public interface
    """No artifact answers to this reference."""

    exit_code: ClassVar[int] = 2


class AmbiguousReference(StoreError):  # noqa: N818
    """Several artifacts answer to this reference; ``candidates`` lists them, newest first."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, candidates: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


class LockTimeout(StoreError):  # noqa: N818
    """Another process holds the lock for longer than we were told to wait."""

    exit_code: ClassVar[int] = 11


class VerificationError(StoreError):
    """Bytes are not what their digest says."""

    exit_code: ClassVar[int] = 12


class NewerRecord(VerificationError):  # noqa: N818
    """A record that a newer version wrote; it may be sound, and is left as it is."""


class NewerStore(StoreError):  # noqa: N818
    """The store was written by a newer version than this one can read."""


class HostileArchive(StoreError):  # noqa: N818
    """An archive that is damaged or was made to do harm; nothing of it was kept."""

    exit_code: ClassVar[int] = 12


#: Errors that say something of this process and nothing of the file that it wanted to read.
_PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def refuse_passing(error: OSError, where: Path) -> None:
    """Raise ``StoreError`` if the process, not the file, is the trouble.

    A sound artifact must not be called broken because too many files are open.
    """
    if error.errno in _PASSING:
        why = _SENTENCES.get(error.errno, error.strerror or str(error))
        raise StoreError(f"cannot read {where}: {why}; run again") from error


_SENTENCES = {
    errno.ENOSPC: "no space left on the device; free some and run again",
    errno.EDQUOT: "your disk quota is used up; free some and run again",
    errno.EFBIG: "a file would grow over the size limit of this process (ulimit -f)",
    errno.EROFS: "the file system is read-only; use another folder (--store or TRATREE_STORE)",
    errno.EACCES: "no permission to write there; use another folder (--store or TRATREE_STORE)",
    errno.EPERM: "no permission to write there; use another folder (--store or TRATREE_STORE)",
    errno.ENOENT: "the folder is gone or cannot be made there; run again, or use another folder",
    errno.ENOTDIR: "something on the way is a file where a folder is needed",
    errno.EMFILE: "too many files are open in this process (ulimit -n)",
}


@contextmanager
def explained(doing: str, where: Path) -> Iterator[None]:
    """Raise the operating system's errors inside the block as one-sentence ``StoreError``s."""
    try:
        yield
    except OSError as error:
        why = _SENTENCES.get(error.errno or 0, error.strerror or str(error))
        raise StoreError(f"cannot {doing} in {where}: {why}") from error
    except sqlite3.Error as error:
        raise StoreError(
            f"cannot {doing} in {where}: the index says {str(error)!r}; "
            "`tratree store reindex` rebuilds it"
        ) from error
