"""What ``tratree build-tree --workers N`` takes and gains, as its user runs it.

    python -m benchmarks.trees.command [--steps 1e5 1e6] [--workers 1 2 1 2]

Explorations with words and token ids are put into a store once per size; the command then builds
the same tree again and again, each time in a process of its own. The objects must be the same to
the byte. The gain is the ratio of the times by the clock to the first run's; processor time is that
of the command and its workers, and the part of its busiest process bounds the gain on free cores.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tratree_store import Recipe, Store

from benchmarks.trees.worlds import write_explorations

SAMPLES, STEPS = 8, 10


def stored(root: Path, tasks: int) -> tuple[str, int]:
    """The reference of made rollouts, and their steps."""
    recipe = Recipe("made", version=1, kind="rollouts", params={"tasks": tasks}, inputs={})
    with Store(root).build(recipe) as build:
        steps = write_explorations(build.path, tasks, SAMPLES, STEPS)
        return build.publish().ref, steps


def measure(root: Path, ref: str, workers: int) -> dict:
    """One run of the command: its object, and what it took."""
    command = [sys.executable, "-m", "tratree_cli.app", "build-tree", ref, "--force", "--json"]
    command += ["--workers", str(workers), "--store", str(root), "--quiet"]
    before, start = _children(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=True, cwd=root.parent)
    seconds, cpu = time.perf_counter() - start, _children() - before
    found = json.loads(done.stdout)
    return {"object": found["object"], "seconds": seconds, "cpu": cpu, "summary": found["summary"]}


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=float, nargs="+", default=[1e5, 1e6])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 1, 2])
    arguments = parser.parse_args()
    print(f"{'steps':>12} {'nodes':>12} {'workers':>8} {'s':>8} {'cpu s':>8} {'gain':>6}")
    for size in arguments.steps:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / ".tratree"
            ref, steps = stored(root, int(size) // (SAMPLES * STEPS))
            first: dict = {}
            for workers in arguments.workers:
                found = measure(root, ref, workers)
                first = first or found
                assert found["object"] == first["object"], f"{workers} workers built another tree"
                print(
                    f"{steps:>12,} {found['summary']['nodes']:>12,} {workers:>8} "
                    f"{found['seconds']:>8.2f} {found['cpu']:>8.2f} "
                    f"{first['seconds'] / found['seconds']:>5.2f}x",
                    flush=True,
                )


if __name__ == "__main__":
    main()
