"""How much memory is free on the device where models will compute, without importing PyTorch.

A GPU's driver answers by ``nvidia-smi``; a machine's memory is what the kernel calls available,
and no more than the limit of the control group (a container) leaves.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
SECONDS = 5.0
MIB = 1 << 20


@dataclass(frozen=True)
class DeviceMemory:
    """A device (``cpu``, ``cuda:0``, ``mps``) and its free bytes, None where nobody tells."""

    device: str
    free: int | None


def device_memory(wanted: str) -> DeviceMemory:
    """The device that ``wanted`` (``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``) would be here.

    Of a machine's GPUs the first visible one counts, as for PyTorch.
    """
    if wanted in ("cpu", "mps"):
        return DeviceMemory(wanted, main_memory())
    free = gpu_memory()
    if not free:
        return DeviceMemory("cpu" if wanted == "auto" else wanted, main_memory())
    number = int(wanted.partition(":")[2] or 0)
    return DeviceMemory(f"cuda:{number}", free[number] if number < len(free) else None)


def gpu_memory() -> list[int]:
    """Free bytes of the visible GPUs, in PyTorch's order."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    program = shutil.which("nvidia-smi")
    if program is None or visible in ("", "-1"):
        return []
    command = [program, "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            [*command, *(["--id=" + visible] if visible else [])],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    if done.returncode != 0:
        return []
    return [int(line) * MIB for line in done.stdout.split() if line.isdecimal()]


def main_memory(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int | None:
    """Bytes that a process can still have, as far as the system tells."""
    free = [size for size in (_available(meminfo), _left_by_group(cgroup)) if size is not None]
    return min(free, default=None)


def _available(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text("ascii").splitlines()
    except (OSError, ValueError):
        return _of_system()
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def _of_system() -> int | None:
    """Half of the whole memory, where the system does not say what is free (macOS)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (OSError, ValueError):
        return None


def _left_by_group(cgroup: Path) -> int | None:
    try:
        limit = (cgroup / "memory.max").read_text("ascii").strip()
        used = int((cgroup / "memory.current").read_text("ascii"))
        cache = [
            int(line.split()[1])
            for line in (cgroup / "memory.stat").read_text("ascii").splitlines()
            if line.startswith("inactive_file ")
        ]
    except (OSError, ValueError):
        return None
    return int(limit) - used + sum(cache) if limit.isdecimal() else None
