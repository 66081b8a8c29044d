"""Which file systems can carry what: shared memory for SQLite's write-ahead log.

WAL needs memory shared by all who have the database open; over a network there is none, and SQLite
cannot notice. So the mount table is read, once per folder.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

VARIABLE = "TRATREE_STORE_FILESYSTEM"
_NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "gfs2",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "smb3", "smbfs",
    "virtiofs", "wekafs",
}  # fmt: skip


@lru_cache(maxsize=64)
def kind_of(folder: Path) -> str:
    """Type of the file system that holds ``folder``, as in the mount table; empty if unknown."""
    forced = os.environ.get(VARIABLE)
    if forced:
        return forced
    try:
        table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return kind_in(table, folder.resolve())


def kind_in(table: str, place: Path) -> str:
    """Type of the file system that holds ``place``, in the form of ``/proc/self/mountinfo``.

    The longest mount point counts, and of equal ones the last, which hides the others.
    """
    best, kind = "", ""
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        mount = fields[4].replace("\\040", " ")
        if place.is_relative_to(mount) and len(mount) >= len(best):
            best, kind = mount, right.split(" ")[0]
    return kind


def has_shared_memory(folder: Path) -> bool:
    """Whether several processes can share memory through files in ``folder``."""
    return kind_of(folder) not in _NETWORK
