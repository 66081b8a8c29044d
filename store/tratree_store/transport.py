"""A folder behind any fsspec URL, with retries and plain words for what goes wrong.

File systems from third parties raise whatever they like, and like to quote URLs with passwords in
them. Here is the one place that calls them: what looks passing is tried again with growing pauses,
and what is told has the credentials taken out.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tratree_store.atomic import make_folder, sync_file, sync_folder, unique
from tratree_store.errors import StoreError, VerificationError
from tratree_store.objects import File
from tratree_store.secrecy import secrets_of, without_secrets

T = TypeVar("T")
TRIES = 5
_CHUNK = 1 << 20
#: Where a half-written file could be seen under its final name, and folders have to be made.
_HIERARCHICAL = {"file", "local", "ssh", "sftp", "smb", "memory", "ftp", "hdfs", "webhdfs"}
_LOCAL = {"file", "local"}
#: What trying again does not mend.
_LASTING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
#: Whose connection answers one question at a time: two threads that share it wait for ever.
_ONE_THREAD = {"ssh", "sftp", "smb", "ftp"}
#: Where every file that is written is a commit, and of two at once the hub refuses one.
_ONE_WRITER = {"hf"}


def redacted(text: str, url: str) -> str:
    """``text`` without the secrets that ``url`` carries (user information, signed queries)."""
    for word in secrets_of(url):
        text = text.replace(word, "***")
    return without_secrets(text)


_PACKAGES = {
    "s3": "'tratree[s3]'",
    "s3a": "'tratree[s3]'",
    "gs": "'tratree[gs]'",
    "gcs": "'tratree[gs]'",
    "http": "'tratree[http]'",
    "https": "'tratree[http]'",
    "ssh": "'tratree[ssh]'",
    "sftp": "'tratree[ssh]'",
    "hf": "huggingface_hub",
}
"""What is installed for a protocol."""


class Remote:
    """A folder behind a URL, with retries and plain words for what goes wrong."""

    def __init__(self, url: str, pause: float = 0.2) -> None:
        from fsspec.core import url_to_fs

        self.url = url
        self._pause = pause
        try:
            self._shared, self._root = url_to_fs(url)
        except Exception as error:  # noqa: BLE001 - whatever a constructor raises
            package = _PACKAGES.get(url.partition("://")[0])
            if package and isinstance(error, ImportError):
                raise StoreError(
                    f"cannot open {self.shown}: a package is missing; type: pip install {package}"
                ) from None
            raise StoreError(f"cannot open {self.shown}: {self._words(error)}") from None
        protocol = self._shared.protocol
        protocols = {protocol} if isinstance(protocol, str) else set(protocol)
        self._hierarchical = bool(protocols & _HIERARCHICAL)
        self._local = bool(protocols & _LOCAL)
        self._one_thread = bool(protocols & _ONE_THREAD)
        one_writer = bool(protocols & _ONE_WRITER)
        self._writing = threading.Lock() if one_writer else contextlib.nullcontext()
        self._own = threading.local()
        self._own.fs = self._shared

    @property
    def _fs(self) -> Any:
        """The file system; where threads cannot share a connection, this thread's own."""
        if not self._one_thread:
            return self._shared
        if not hasattr(self._own, "fs"):
            from fsspec.core import url_to_fs

            self._own.fs, _ = url_to_fs(self.url, skip_instance_cache=True)
        return self._own.fs

    @property
    def shown(self) -> str:
        """The URL without credentials."""
        return redacted(self.url, self.url)

    def _words(self, error: BaseException) -> str:
        text = " ".join(str(error).split()) or type(error).__name__
        return redacted(text, self.url)[:300].rstrip(".")

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def patiently(self, doing: str, action: Callable[[], T]) -> T:
        """``action()``, again after a growing pause if it fails; missing files fail at once."""
        for attempt in range(TRIES):
            try:
                return action()
            except (FileNotFoundError, PermissionError, NotImplementedError, StoreError):
                raise
            except Exception as error:  # noqa: BLE001 - they raise what they like
                lasting = isinstance(error, OSError) and error.errno in _LASTING
                if attempt == TRIES - 1 or lasting:
                    raise StoreError(
                        f"cannot {doing} {self.shown}: {self._words(error)}; what has arrived is "
                        "kept, run the same command again"
                    ) from None
                time.sleep(self._pause * 2**attempt)
        raise AssertionError("unreachable")

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return bool(self.patiently("look into", lambda: self._fs.exists(self._path(name))))

    def size(self, name: str) -> int | None:
        """Bytes of a file there; None if there is none, or if its size is not told."""
        try:
            found = self.patiently("look into", lambda: self._fs.info(self._path(name)))
        except FileNotFoundError:
            return None
        size = found.get("size")
        return size if isinstance(size, int) else None

    def read(self, name: str, limit: int) -> bytes | None:
        """A small file; None if there is none. Reads at most ``limit`` bytes."""

        def fetch() -> bytes:
            with self._fs.open(self._path(name), "rb") as stream:
                # Piece by piece: ``read(limit)`` takes the memory for the limit first.
                data, left = bytearray(), limit + 1
                while piece := stream.read(min(_CHUNK, left)):
                    data += piece
                    left -= len(piece)
                return bytes(data)

        try:
            data = self.patiently("read from", fetch)
        except FileNotFoundError:
            return None
        if len(data) > limit:
            raise VerificationError(f"{name} on {self.shown} is larger than it can be")
        return data

    def write(self, name: str, source: Path | bytes) -> None:
        """Put a file there under its final name only when it is whole."""
        target = self._path(name)

        def send() -> None:
            if self._local:
                _write_flushed(Path(target), source)
                return
            if self._hierarchical:
                self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            place = f"{target}.{unique()}.part" if self._hierarchical else target
            if isinstance(source, bytes):
                self._fs.pipe_file(place, source)
            else:
                self._fs.put_file(str(source), place)
            if self._hierarchical:
                self._fs.mv(place, target)

        try:
            with self._writing:
                self.patiently("write to", send)
        except FileNotFoundError:
            raise StoreError(
                f"cannot write to {self.shown}: there is no such place; make it there first"
            ) from None
        except (PermissionError, NotImplementedError) as error:
            raise StoreError(
                f"cannot write to {self.shown} ({self._words(error)}); it is read-only for you"
            ) from None

    def stream(self, name: str, part: Path, file: File, moved: Callable[[int], None]) -> None:
        """Append what is missing of a file to ``part``, from where an earlier try stopped."""

        def fetch() -> None:
            start = part.stat().st_size if part.exists() else 0
            if start > file.size:
                part.unlink()
                start = 0
            with self._fs.open(self._path(name), "rb") as source, part.open("ab") as target:
                if start:
                    source.seek(start)
                while start < file.size:
                    chunk = source.read(min(_CHUNK, file.size - start))
                    if not chunk:
                        raise OSError(f"{name} ends after {start} of {file.size} bytes")
                    target.write(chunk)
                    start += len(chunk)
                    moved(len(chunk))

        try:
            self.patiently("read from", fetch)
        except FileNotFoundError:
            raise VerificationError(
                f"{self.shown} lists {file.path} but does not have its bytes ({file.sha256[:12]})"
            ) from None

    def listing(self, folder: str) -> list[str]:
        """Names of the files in a folder; empty if it is missing or cannot be listed."""
        try:
            found = self.patiently("list", lambda: self._fs.ls(self._path(folder), detail=False))
        except (FileNotFoundError, NotImplementedError, PermissionError, StoreError):
            return []
        return [str(path).rstrip("/").rpartition("/")[2] for path in found]


def _write_flushed(target: Path, source: Path | bytes) -> None:
    """Write a file of a remote that is a folder here: flushed to the disk, then renamed.

    A push that was reported as done must outlive a power cut; and a file that a later push finds
    under its final name is taken as whole.
    """
    make_folder(target.parent, durable=True)
    beside = target.with_name(f"{target.name}.{unique()}.part")
    try:
        if isinstance(source, bytes):
            beside.write_bytes(source)
        else:
            shutil.copyfile(source, beside)
        sync_file(beside)
        beside.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)
