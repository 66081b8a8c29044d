"""Which locks of a store are held now, and by whom: what garbage collection asks."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from tratree_store.filesystems import has_shared_memory
from tratree_store.holders import Holder, alive, host, read_holder
from tratree_store.locks import NO_LOCKS, STANDING, VARIABLE

#: How long a holder that has locked its file and not signed it is waited for, in all (seconds).
_UNSIGNED = 2.0
_DAY = 86400.0


def live_holders(folder: Path, *, but: Path | None = None) -> Iterator[tuple[Path, Holder | None]]:
    """The locks in ``folder`` that somebody holds now; leftovers of the dead are removed.

    A holder that has locked its file and not yet signed it is waited for: garbage collection must
    know what everybody needs. None stands for one that does not sign (its disk is full). ``but``
    is a lock to pass over.
    """
    if not folder.is_dir():
        return
    patience = time.monotonic() + _UNSIGNED
    for path in sorted(folder.glob("*.lock")):
        if path.name in STANDING or path == but:
            continue
        while _is_held(path, holder := read_holder(path)):
            if holder is not None or time.monotonic() > patience:
                yield path, holder
                break
            time.sleep(0.01)


def _is_held(path: Path, holder: Holder | None) -> bool:
    """Whether somebody holds the lock; if not, its file is removed."""
    if os.environ.get(VARIABLE) == "files":
        return holder is None or holder.host != host() or alive(holder)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False  # nobody locks a folder or a FIFO
        handle = _open_to_look(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # somebody else's, and unreadable: whatever it is, it is not ours to judge
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _may_live_elsewhere(path, holder):
            return True
        if os.fstat(handle).st_ino == path.stat().st_ino:
            path.unlink()
    except BlockingIOError:
        return True
    except OSError as error:
        return error.errno in NO_LOCKS
    finally:
        os.close(handle)
    return False


def _may_live_elsewhere(path: Path, holder: Holder | None) -> bool:
    """Whether a holder on another host may live although its lock looks free.

    Over a network ``flock`` may exclude only the processes of one host, and nothing tells so. What
    such a holder needs is kept for a day; whoever is sure that it is dead removes the file.
    """
    if holder is None or holder.host == host() or has_shared_memory(path.parent):
        return False
    return time.time() - path.stat().st_mtime < _DAY


def _open_to_look(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR)
    except PermissionError:  # another user's lock: to ask for it, reading is enough
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno == errno.EROFS:
            return os.open(path, os.O_RDONLY)
        raise
