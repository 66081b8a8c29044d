"""The most memory that a command takes, measured in a process of its own, and what was forecast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.command_line import run_tratree

PEAK = """
import sys
from tratree_cli.app import app
try:
    app(sys.argv[1:], prog_name="tratree")
finally:
    peak = [l for l in open("/proc/self/status") if l.startswith("VmHWM:")]
    print("PEAK", int(peak[0].split()[1]) * 1024, file=sys.stderr)
"""


def measured(folder: Path, *words: str) -> int:
    """The most resident memory of a command in a process of its own, in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *words, "--no-stdin"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr.rpartition("PEAK ")[2].split()[0])


def forecast(folder: Path, stage: str, *words: str) -> int:
    done = run_tratree(folder, *words, "--dry-run", "--force", "--json", "--no-stdin")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (record,) = (line["memory"] for line in lines[-1:] if line["stage"] == stage)
    assert not record["at_most"]
    return int(record["bytes"])
