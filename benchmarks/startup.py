"""What typing a command costs before any work begins: CPU seconds of fresh processes.

    python -m benchmarks.startup

The bounds are those of docs/store.md: a cached stage answers in 0.4 CPU seconds, ``--help`` in
0.25. A shared machine makes every process dearer, so a bare interpreter is measured in the same
run, in turns with the others, and the last column is the ratio to it.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TRATREE = [sys.executable, "-m", "tratree_cli.app"]
EXPLORE = [*TRATREE, "explore", "--policy", "expert", "--limit", "2", "-m", "1", "--no-stdin"]
ROWS: dict[str, tuple[list[str], float | None]] = {
    "bare python": ([sys.executable, "-c", "pass"], None),
    "typer alone": ([sys.executable, "-c", "import typer.main, typer._adapters"], None),
    "tratree --help": ([*TRATREE, "--help"], 0.25),
    "tratree explore --help": ([*TRATREE, "explore", "--help"], None),
    "tratree store ls": ([*TRATREE, "store", "ls"], None),
    "tratree explore (cached)": (EXPLORE, 0.4),
    "tratree build-tree (cached)": ([*TRATREE, "build-tree", "rollouts@latest"], 0.4),
}


def cpu(words: list[str], folder: Path) -> float:
    """User and system seconds of one process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=11)
    options = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in ROWS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for words, _ in ROWS.values():  # fills the store and the caches
            cpu(words, folder)
        for _ in range(options.times):
            for row, (words, _) in ROWS.items():
                found[row].append(cpu(words, folder))
    bare = statistics.median(found["bare python"])
    print(f"{'CPU seconds':30}{'median':>9}{'least':>9}{'bound':>8}{'x bare':>9}")
    for row, (_, bound) in ROWS.items():
        middle = statistics.median(found[row])
        print(
            f"{row:30}{middle:9.3f}{min(found[row]):9.3f}{bound or '':>8}{middle / bare:9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
