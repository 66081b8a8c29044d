"""Who holds a lock: what is written into its file, and whether that process still lives.

A pid alone proves nothing, since pids are used again; so a holder also names its host, and when the
process began (which differs for another process with the same pid).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tratree_store.atomic import read_plain
from tratree_store.secrecy import without_secrets

_MAX_PID = 1 << 31
_END_OF_TIME = 1e11


def host() -> str:
    """The name of this machine."""
    return os.uname().nodename


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: shown to whoever waits, and read by garbage collection."""

    pid: int
    host: str
    command: str
    since: float
    started: str = ""
    needs: tuple[str, ...] = ()

    def __str__(self) -> str:
        when = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} since {when} ({self.command})"


def myself(needs: Sequence[str] = ()) -> Holder:
    """This process as a holder."""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else "python"
    return Holder(
        pid=os.getpid(),
        host=host(),
        command=without_secrets(command)[:200],
        since=time.time(),
        started=start_of(os.getpid()),
        needs=tuple(needs),
    )


def start_of(pid: int) -> str:
    """Something that differs when a pid is used again; empty if the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    return f"{boot}:{text.rpartition(')')[2].split()[19]}"


def alive(holder: Holder) -> bool:
    """Whether the process that holds the lock still runs, on this host."""
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not holder.started or start_of(holder.pid) in ("", holder.started)


def read_holder(path: Path) -> Holder | None:
    """The holder written in a lock file; None if it is empty, torn, nonsense or gone."""
    try:
        fields = json.loads(read_plain(path))
        holder = Holder(**{**fields, "needs": tuple(fields.get("needs", ()))})
        texts = (holder.host, holder.command, holder.started, *holder.needs)
        sound = (
            type(holder.pid) is int
            and 0 < holder.pid < _MAX_PID  # 0 and negative ones would mean groups of processes
            and type(holder.since) in (int, float)
            and 0 <= holder.since < _END_OF_TIME
            and all(isinstance(text, str) for text in texts)
        )
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return holder if sound else None
