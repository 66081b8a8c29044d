"""Make the n-th call of one kind fail, for the files below one folder.

The functions of ``os`` and ``open`` are wrapped; files that are opened below the folder read and
write through a class whose calls can fail as well. SQLite calls the system itself: for it (and for
signals in the middle of a call) see ``test_system_calls``.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Kind of call -> the errors that it is made to fail with; 0 is a short write.
KINDS: dict[str, tuple[int, ...]] = {
    "open": (errno.EMFILE, errno.EIO, errno.ENOSPC),
    "read": (errno.EIO,),
    "write": (errno.ENOSPC, errno.EIO, 0),
    "fsync": (errno.EIO, errno.ENOSPC),
    "rename": (errno.EIO, errno.ENOSPC),
    "mkdir": (errno.ENOSPC, errno.EIO),
    "unlink": (errno.EIO,),
    "link": (errno.EIO, errno.EMLINK),
    "list": (errno.EIO, errno.EMFILE),
    "stat": (errno.EIO,),
}
_CALLS = {
    "open": "open",
    "fsync": "fsync",
    "rename": "rename",
    "replace": "rename",
    "mkdir": "mkdir",
    "unlink": "unlink",
    "remove": "unlink",
    "rmdir": "unlink",
    "link": "link",
    "listdir": "list",
    "scandir": "list",
    "stat": "stat",
    "lstat": "stat",
    "sendfile": "write",
    "pwrite": "write",
}


@dataclass
class Fault:
    """The ``number``-th call of ``kind`` below ``folder`` fails with ``code`` (once)."""

    folder: Path
    kind: str
    code: int
    number: int
    seen: int = 0
    where: str = ""
    _handles: set[int] = field(default_factory=set)

    @property
    def happened(self) -> bool:
        """Whether there were so many calls."""
        return self.seen >= self.number

    def due(self, kind: str, place: object) -> bool:
        """Count a call; whether it is the one that fails."""
        if kind != self.kind or not self._inside(place):
            return False
        self.seen += 1
        if self.seen != self.number:
            return False
        self.where = str(place)
        return True

    def meet(self, kind: str, place: object) -> None:
        """Raise the error if this call is the one."""
        if self.due(kind, place):
            raise OSError(self.code or errno.EIO, os.strerror(self.code or errno.EIO), self.where)

    def _inside(self, place: object) -> bool:
        if isinstance(place, int):
            try:
                place = Path(f"/proc/self/fd/{place}").readlink()
            except OSError:
                return False
        if not isinstance(place, str | bytes | os.PathLike):
            return False
        return os.fsdecode(place).startswith(str(self.folder))

    @contextmanager
    def injected(self) -> Iterator[None]:
        """Wrap the functions inside the block."""
        real = {name: getattr(os, name) for name in _CALLS}
        opened = builtins.open
        for name, kind in _CALLS.items():
            setattr(os, name, self._wrapped(real[name], kind))
        builtins.open = io.open = self._open(opened)  # type: ignore[assignment]
        try:
            yield
        finally:
            builtins.open = io.open = opened
            for name, function in real.items():
                setattr(os, name, function)

    def _wrapped(self, real: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            place = arguments[0] if arguments else "."
            handle = options.get("dir_fd")
            if handle is not None and isinstance(place, str):
                place = f"{Path(f'/proc/self/fd/{handle}').readlink()}/{place}"
            self.meet(kind, place)
            return real(*arguments, **options)

        return call

    def _open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(
            file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any
        ) -> Any:
            if not self._inside(file):
                return real(file, mode, buffering, *rest, **options)
            if not isinstance(file, int):
                self.meet("open", file)
            closefd = options.pop("closefd", True)
            raw = _File(file, mode.replace("t", "").replace("b", ""), closefd, self)
            if "+" in mode:
                stream: Any = io.BufferedRandom(raw)
            else:
                stream = io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)
            if "b" in mode:
                return raw if buffering == 0 else stream
            return io.TextIOWrapper(stream, *rest, **options)

        return call


class _File(io.FileIO):
    """A file whose reads and writes may fail."""

    def __init__(self, path: Any, mode: str, closefd: bool, fault: Fault) -> None:
        super().__init__(path, mode, closefd)
        self._fault = fault

    def write(self, data: Any) -> int:
        if self._fault.due("write", self.name):
            if self._fault.code:
                raise OSError(self._fault.code, os.strerror(self._fault.code), self.name)
            data = bytes(data)[: max(1, len(bytes(data)) // 2)]
        return super().write(data) or 0

    def readinto(self, buffer: Any) -> int:
        self._fault.meet("read", self.name)
        return super().readinto(buffer) or 0

    def readall(self) -> bytes:
        self._fault.meet("read", self.name)
        return super().readall()

    def read(self, size: int | None = -1) -> bytes:
        self._fault.meet("read", self.name)
        return super().read(size) or b""
