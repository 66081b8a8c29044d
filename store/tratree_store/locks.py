"""Locks that the kernel releases when their holder dies, and that say who holds them.

A lock is ``flock`` on a small file; the holder writes its pid, host, start and command into it, so
that whoever waits can be told. A dead holder needs no recognising: the kernel has let go, and the
leftover text is overwritten. Two traps are closed here. A forked child would inherit the lock and
keep it alive after its parent's death: children close it at birth. And the file is unlinked on
release, so an acquirer checks that the file it locked is still the one with that name.

Where ``flock`` does not work (some network mounts; forced with ``TRATREE_STORE_LOCKS=files``) the
file's existence is the lock. Then a dead holder must be recognised: same host and no such process
any more (pid and start time), or another host whose lock has not been touched for ten minutes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tratree_store.atomic import make_folder, unique
from tratree_store.errors import LockTimeout, StoreError
from tratree_store.group_access import inherit, is_shared
from tratree_store.holders import Holder, alive, host, myself, read_holder

VARIABLE = "TRATREE_STORE_LOCKS"
#: Locks that are taken for moments and whose files stay.
STANDING = frozenset({"gc.lock", "index.lock", "refs.lock"})
_HEARTBEAT = 60.0
_SILENT = 600.0
_BLOCK = 4096
#: Errors that mean that ``flock`` does not work here.
NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL}


_held: set[int] = set()
_held_lock = threading.Lock()


def _forget_in_child() -> None:
    for handle in list(_held):
        with contextlib.suppress(OSError):
            os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


class Lock:
    """One lock file; ``acquire`` waits, ``release`` lets go and removes the file.

    Args:
        path: the lock file; its folder exists.
        shared: several holders at once, none while an exclusive one is there.
        needs: object digests that garbage collection must leave alone meanwhile.
        keep: leave the file in place (for locks that are taken all the time).
    """

    def __init__(
        self, path: Path, *, shared: bool = False, needs: Sequence[str] = (), keep: bool = False
    ) -> None:
        self.path = path
        self._shared = shared
        self._needs = tuple(needs)
        self._keep = keep
        self._handle: int | None = None
        self._beat: threading.Event | None = None
        self._pid = 0
        #: A process of another host that the file named when it could be locked all the same: it
        #: died, or the file system's locks do not reach across hosts.
        self.foreign: Holder | None = None

    def acquire(
        self, wait: float | None = None, on_wait: Callable[[Holder | None], None] | None = None
    ) -> Lock:
        """Take the lock, waiting ``wait`` seconds (None: for ever).

        ``on_wait`` is called once for every holder that is waited for. Raises ``LockTimeout``.
        """
        start = time.monotonic()
        # A lock that is held for moments only: let the kernel queue us instead of polling.
        if self._keep and wait is None and on_wait is None and self._attempt(0):
            return self
        if wait is not None:
            wait = max(wait, 0.1)  # whoever only looks whether it is held, holds it for a moment
        pause = 0.01
        told: tuple[int, float] | str | None = "nobody"
        while not self.try_acquire():
            holder = read_holder(self.path)
            self._refuse_deadlock(holder)
            if wait is not None and time.monotonic() - start >= wait:
                who = str(holder) if holder else "another process"
                raise LockTimeout(
                    f"waited {wait:g} s for {who}; run again later or wait longer (--wait)"
                )
            identity = (holder.pid, holder.since) if holder else None
            if on_wait is not None and identity != told and (holder or pause > 0.1):
                told = identity
                on_wait(holder)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        return self

    def _refuse_deadlock(self, holder: Holder | None) -> None:
        me = threading.get_ident()
        if holder and holder.pid == os.getpid() and _owners.get(str(self.path)) == me:
            raise StoreError(f"this thread holds {self.path.name} already; it would wait for ever")

    def try_acquire(self) -> bool:
        """Take the lock if it is free now."""
        return self._attempt(fcntl.LOCK_NB)

    def _attempt(self, blocking: int) -> bool:
        self._pid = os.getpid()
        if os.environ.get(VARIABLE) == "files":
            return self._try_file()
        try:
            return self._flock(blocking)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return self._try_file(trying_left_it=True)
            raise

    def _flock(self, blocking: int) -> bool:
        mode = (fcntl.LOCK_SH if self._shared else fcntl.LOCK_EX) | blocking
        while True:
            handle = self._open()
            try:
                fcntl.flock(handle, mode)
                same = os.fstat(handle).st_ino == self.path.stat().st_ino
            except BlockingIOError:
                os.close(handle)
                return False
            except FileNotFoundError:
                same = False
            except BaseException:
                os.close(handle)
                raise
            if same:
                break
            os.close(handle)
        with _held_lock:
            _held.add(handle)
        self._handle = handle
        if not self._shared:
            _owners[str(self.path)] = threading.get_ident()
            try:
                before = None if self._keep else read_holder(self.path)
                self.foreign = before if before is not None and before.host != host() else None
                self.sign(self._needs)
            except BaseException:
                self.release()  # whoever is not told that the lock is theirs will not release it
                raise
        return True

    def taken_by(self) -> Holder | None:
        """Who else signed the file while we hold it; None if nobody did, as it should be."""
        try:
            now = read_holder(self.path) if self._handle is not None else None
        except StoreError:
            return None  # it cannot be read now: nothing is known
        mine = now is None or (now.pid, now.host) == (os.getpid(), host())
        return None if mine else now

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT
        for _ in range(20):
            try:
                handle = os.open(self.path, flags, 0o644)
            except PermissionError:
                # Another member of the group has just made it, and is about to share it.
                if not is_shared(self.path.parent):
                    raise
                time.sleep(0.01)
                continue
            with contextlib.suppress(OSError):
                inherit(self.path)
            return handle
        return os.open(self.path, flags, 0o644)

    def sign(self, needs: Sequence[str]) -> None:
        """Write into the file who holds it and which digests it needs."""
        self._needs = tuple(needs)
        text = self._text()
        try:
            if self._handle is not None:
                # Whoever reads between these two calls sees a torn end, and reads again.
                if os.pwrite(self._handle, text, 0) != len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.ftruncate(self._handle, len(text))
            else:
                draft = self._draft(text)
                draft.replace(self.path)
        except OSError:
            # A full disk must not make a lock unusable. But an old or torn text would say too
            # little of what is needed; an empty file says that nothing is known.
            with contextlib.suppress(OSError):
                if self._handle is not None:
                    os.ftruncate(self._handle, 0)

    def _text(self) -> bytes:
        text = json.dumps(asdict(myself(self._needs)), separators=(",", ":")).encode()
        # Whole blocks: a longer text still has room when the disk is full.
        return text.ljust(-(-len(text) // _BLOCK) * _BLOCK)

    def _draft(self, text: bytes) -> Path:
        draft = self.path.with_name(f".draft-{unique()}")
        draft.write_bytes(text)
        inherit(draft)
        return draft

    def _try_file(self, *, trying_left_it: bool = False) -> bool:
        """Let the file be the lock; with ``trying_left_it`` an empty one is only of a try."""
        holder = read_holder(self.path)
        with contextlib.suppress(OSError):
            status = self.path.stat()
            silent = time.time() - status.st_mtime
            free = trying_left_it and not status.st_size
            here = holder is not None and holder.host == host()
            dead = holder is not None and here and not alive(holder)
            nobody = holder is None and (free or silent > _HEARTBEAT)
            if dead or nobody or (not here and silent > _SILENT):
                # Renaming is what decides between two who both saw a dead holder.
                grave = self.path.with_name(f".dead-{unique()}")
                self.path.rename(grave)
                if read_holder(grave) == holder:
                    grave.unlink()
                else:  # a fresh lock was taken in between: put it back
                    grave.rename(self.path)
        # Written first and linked into place, so that nobody ever reads a lock without a name.
        draft = self._draft(self._text())
        try:
            os.link(draft, self.path)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        _owners[str(self.path)] = threading.get_ident()
        self._beat = threading.Event()
        threading.Thread(target=self._heartbeat, args=(self._beat,), daemon=True).start()
        return True

    def _heartbeat(self, stop: threading.Event) -> None:
        while not stop.wait(_HEARTBEAT):
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def release(self) -> None:
        """Let go; harmless if nothing is held, or in a child of the process that holds it."""
        if self._pid != os.getpid():
            return
        _owners.pop(str(self.path), None)
        if self._beat is not None:
            self._beat.set()
            self._beat = None
            self.path.unlink(missing_ok=True)
        if self._handle is not None:
            handle, self._handle = self._handle, None
            if not self._keep:
                # While we still hold it, so that nobody locks a file that is about to go.
                with contextlib.suppress(OSError):
                    self.path.unlink()
            with _held_lock:
                _held.discard(handle)
            os.close(handle)

    def __enter__(self) -> Lock:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


_owners: dict[str, int] = {}


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: float | None = None) -> Iterator[None]:
    """Hold a short lock whose file stays (index, refs, collection)."""
    make_folder(path.parent, durable=False)
    lock = Lock(path, shared=shared, keep=True).acquire(wait)
    try:
        yield
    finally:
        lock.release()


def flock_works(path: Path) -> bool:
    """Whether the kernel's locks work on this (existing) file."""
    if os.environ.get(VARIABLE) == "files":
        return False
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
