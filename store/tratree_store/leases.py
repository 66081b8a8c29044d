"""Leases: "this process uses these objects", for garbage collection to see.

A process that has found an artifact may read it a moment, or hours, later, in code that knows
nothing of stores. So each store object keeps one lock file with the digests it has handed out; the
kernel drops the lock when the process ends, however it ends. In a store that cannot be written
nothing can be collected either, and no lease is taken.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from tratree_store.atomic import unique
from tratree_store.errors import StoreError
from tratree_store.locks import Lock


class Leases:
    """The digests that one store object has handed out."""

    def __init__(self, locks: Path) -> None:
        self._locks = locks
        self._digests: set[str] = set()
        self._lock: Lock | None = None
        self._pid = 0

    @property
    def digests(self) -> frozenset[str]:
        """What this process uses through this store object now, partial folders left out."""
        mine = self._digests if self._pid == os.getpid() else set()
        return frozenset(digest for digest in mine if not digest.startswith("partial:"))

    @property
    def path(self) -> Path | None:
        """The lock file that says so to others."""
        return self._lock.path if self._lock is not None and self._pid == os.getpid() else None

    def take(self, *digests: str) -> None:
        """Add digests; best effort, for reading must work in a read-only store."""
        if self._pid != os.getpid():  # a forked child needs a lease of its own
            self._pid, self._lock, self._digests = os.getpid(), None, set()
        if self._digests.issuperset(digests) or not _is_folder(self._locks):
            return
        self._digests.update(digests)
        try:
            if self._lock is None:
                name = f"use-{os.getpid()}-{unique()}.lock"
                lock = Lock(self._locks / name, needs=sorted(self._digests))
                if lock.try_acquire():
                    self._lock = lock
                    weakref.finalize(self, lock.release)
            else:
                self._lock.sign(sorted(self._digests))
        except (OSError, StoreError):
            return

    def release(self) -> None:
        """Use nothing any more."""
        self._digests.clear()
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
