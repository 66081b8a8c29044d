"""Time and memory per step as forests grow, read from disk a group of tasks at a time.

    python -m benchmarks.trees.growth [--up-to 1e7] [--from 1e4] [--workers 1 2]

Trees of different tasks are independent, so a group is read, grown, searched and let go. Each size
runs in its own process, whose highest memory is what the last column shows. Several workers read
the same file and parse, grow and search every n-th group; what they grow must be the same to the
byte, which is checked, and their gain is the ratio of the times by the clock.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.trees.worlds import explorations
from tratree_cli.formats.rollouts import write_jsonl
from tratree_cli.formats.streaming import stream_columns
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.mcts import search

SAMPLES, STEPS, GROUP = 8, 10, 500


def write(tasks: int, path: Path) -> None:
    """Trajectories as a rollouts artifact holds them, made a thousand tasks at a time."""

    def records():
        for start in range(0, tasks, 1000):
            columns = explorations(min(1000, tasks - start), SAMPLES, STEPS, seed=start)
            offsets = columns.offsets.tolist()
            seen, done = columns.observations.tolist(), columns.actions.tolist()
            for t, score in enumerate(columns.score.tolist()):
                span = slice(offsets[t], offsets[t + 1])
                yield {
                    "task": f"task-{start + int(columns.task[t])}",
                    "sample": t % SAMPLES,
                    "observations": seen[span],
                    "outputs": done[span],
                    "thoughts": [-1] * STEPS,
                    "actions": done[span],
                    "score": score,
                    "success": score == 1.0,
                    "end": "done",
                }

    write_jsonl(path, records())


def grow(path: Path, share: tuple[int, int]) -> list[tuple[int, int, str]]:
    """Steps, nodes and a digest of the trees and what the search found, for each group."""
    done = []
    for columns in stream_columns(path, GROUP, share=share):
        forest = build_forest(columns)
        found = search(forest)
        digest = hashlib.sha256()
        for column in (forest.parent, forest.action, forest.observation, found.reward):
            digest.update(np.ascontiguousarray(column).data)
        done.append((columns.steps, len(forest), digest.hexdigest()))
    return done


def measure(path: Path, workers: int) -> dict:
    start = time.perf_counter()
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            shares = [(worker, workers) for worker in range(workers)]
            parts = list(pool.map(grow, [path] * workers, shares))
    else:
        parts = [grow(path, (0, 1))]
    groups = sum(map(len, parts))
    done = [parts[group % workers][group // workers] for group in range(groups)]
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "steps": sum(steps for steps, _, _ in done),
        "nodes": sum(nodes for _, nodes, _ in done),
        "digest": hashlib.sha256("".join(digest for _, _, digest in done).encode()).hexdigest(),
        "seconds": time.perf_counter() - start,
        "cpu": sum(used.ru_utime + used.ru_stime for used in usage),
        "megabytes": max(used.ru_maxrss for used in usage) / 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--up-to", type=float, default=1e7)
    parser.add_argument("--from", type=float, default=1e4, dest="start")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--measure", type=Path)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.workers[0])))
        return
    print(
        f"{'steps':>12} {'nodes':>12} {'workers':>8} {'s':>8} {'cpu us/step':>12} "
        f"{'MB peak':>8} {'gain':>6}"
    )
    for size in 10 ** np.arange(np.log10(arguments.start), np.log10(arguments.up_to) + 0.01):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trajectories.jsonl.zst"
            write(int(size) // (SAMPLES * STEPS), path)
            report(path, arguments.workers)


def report(path: Path, workers: list[int]) -> None:
    """One line for each number of workers; the gain is over the first of them."""
    first: dict = {}
    for count in workers:
        command = [sys.executable, "-m", "benchmarks.trees.growth", "--measure", str(path)]
        command += ["--workers", str(count)]
        found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        first = first or found
        assert found["digest"] == first["digest"], f"{count} workers grew something else"
        print(
            f"{found['steps']:>12,} {found['nodes']:>12,} {count:>8} {found['seconds']:>8.2f} "
            f"{found['cpu'] / found['steps'] * 1e6:>12.2f} {found['megabytes']:>8.0f} "
            f"{first['seconds'] / found['seconds']:>5.2f}x",
            flush=True,
        )


if __name__ == "__main__":
    main()
