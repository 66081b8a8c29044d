"""Writing so that a reader sees the old bytes or the new ones, never a mixture.

A file is written beside its place, flushed to the disk, and renamed; then the folder is flushed,
because a rename that only lives in memory is lost with the power. ``durable=False`` leaves the
flushing out (scratch stores, benchmarks): still atomic for other processes, not after a power cut.
Records carry a seal (the sha256 of the rest), so that a flipped byte in a record is found like one
in an object.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tratree_store.errors import VerificationError, refuse_passing
from tratree_store.faults import point
from tratree_store.group_access import inherit
from tratree_store.keys import dump, sha256

#: No record, name, lock or note of a store is larger (bytes).
MAX_RECORD = 64 << 20


def read_plain(path: Path, limit: int = MAX_RECORD) -> bytes:
    """The content of a plain file of at most ``limit`` bytes; raises ``OSError``.

    A folder or a device is an error, and so is a FIFO, on which a plain ``open`` would wait for
    ever.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        refuse_passing(error, path)
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        if status.st_size > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))
        # Not ``read(limit)``: that takes the memory for the limit first, which may not be there.
        with os.fdopen(handle, "rb", closefd=False) as stream:
            return stream.read()
    finally:
        os.close(handle)


def unique() -> str:
    """A name that nobody else uses (twelve hexadecimal digits)."""
    return os.urandom(6).hex()


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to the disk."""
    sync_file(folder)


def sync_file(path: Path) -> None:
    """Flush the content of ``path`` to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path, durable: bool) -> None:
    """Create ``folder`` and its parents; the new names are flushed if ``durable``."""
    if folder.is_dir():
        return
    make_folder(folder.parent, durable)
    folder.mkdir(exist_ok=True)
    inherit(folder)
    if durable:
        sync_folder(folder.parent)


def write_atomic(
    path: Path,
    data: bytes,
    scratch: Path,
    durable: bool = True,
    *,
    label: str = "write",
    fault: str = "",
) -> None:
    """Replace ``path`` with ``data``; ``scratch`` is a folder on the same file system.

    ``label`` begins the name of the draft, for whoever cleans up after a dead process.
    """
    make_folder(path.parent, durable)
    make_folder(scratch, durable)
    beside = scratch / f"{label}-{os.getpid()}-{unique()}"
    try:
        with beside.open("xb") as stream:
            stream.write(data)
            stream.flush()
            inherit(beside)
            if durable:
                os.fsync(stream.fileno())
        if fault:
            point(f"{fault}.written")
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)
    if fault:
        point(f"{fault}.renamed")


def seal(record: Mapping[str, Any]) -> bytes:
    """One line of JSON with a ``seal`` over everything else in it."""
    body = {key: value for key, value in record.items() if key != "seal"}
    return dump({**body, "seal": sha256(dump(body))}) + b"\n"


def unseal(data: bytes, what: str) -> dict[str, Any]:
    """The record in a sealed line; raises ``VerificationError`` if a byte of it changed."""
    try:
        record = json.loads(data)
        record.pop("seal")
        # The bytes must be the canonical ones: a change that JSON ignores is a change too.
        whole = seal(record) == data
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise VerificationError(f"{what} is damaged (its seal does not fit its content)")
    return dict(record)
