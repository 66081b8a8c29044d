"""A store that the members of a group share, whatever their umask.

Nothing is configured: a folder that the group may write to and whose new files get its group (the
set-group-id bit) is shared, and what is made in it becomes shared as well. So one command marks the
folders, and everything that is written later follows.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_SHARED = stat.S_ISGID | stat.S_IWGRP


def is_shared(folder: Path) -> bool:
    """Whether what is made in ``folder`` is for its whole group."""
    try:
        return folder.stat().st_mode & _SHARED == _SHARED
    except OSError:
        return False


def inherit(path: Path) -> None:
    """Let the group do with ``path`` what its owner may, if its folder is shared."""
    if is_shared(path.parent):
        widen(path)


def widen(path: Path) -> None:
    """Let the group do with a file or folder of ours what its owner may; raises ``OSError``."""
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    wanted = mode | (mode & 0o600) >> 3
    if stat.S_ISDIR(status.st_mode):
        wanted |= stat.S_ISGID | 0o070
    elif not stat.S_ISREG(status.st_mode):
        return
    if wanted != mode and status.st_uid == os.geteuid():
        path.chmod(wanted)


def widen_all(folder: Path) -> list[Path]:
    """Give ``folder`` and all under it to the folder's group; returns what belongs to others."""
    group = folder.stat().st_gid
    foreign = []
    for base, _, files in os.walk(folder):
        for path in (Path(base), *(Path(base) / name for name in files)):
            status = path.lstat()
            if status.st_uid != os.geteuid():
                foreign.append(path)
                continue
            if status.st_gid != group:
                os.chown(path, -1, group, follow_symlinks=False)
            widen(path)
    return foreign
