"""Time and memory per step as forests grow, read from disk a group of tasks at a time.

    python -m benchmarks.trees.growth [--up-to 1e7] [--workers 1]

Trees of different tasks are independent, so a group is read, grown, searched and let go. Each size
runs in its own process, whose highest memory is what the last column shows.
"""

from __future__ import annotations

import argparse
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


def grow(columns) -> tuple[int, int, float]:
    forest = build_forest(columns)
    found = search(forest)
    return columns.steps, len(forest), float(found.reward[forest.roots].sum())


def measure(path: Path, workers: int) -> dict:
    start, cpu = time.perf_counter(), time.process_time()
    groups = stream_columns(path, GROUP)
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            done = list(pool.map(grow, groups))
    else:
        done = [grow(columns) for columns in groups]
    return {
        "steps": sum(steps for steps, _, _ in done),
        "nodes": sum(nodes for _, nodes, _ in done),
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--up-to", type=float, default=1e7)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--measure", type=Path)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.workers)))
        return
    print(f"{'steps':>12} {'nodes':>12} {'s':>8} {'us/step':>8} {'cpu us/step':>12} {'MB peak':>8}")
    for size in 10 ** np.arange(4, np.log10(arguments.up_to) + 0.01):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trajectories.jsonl.zst"
            write(int(size) // (SAMPLES * STEPS), path)
            command = [sys.executable, "-m", "benchmarks.trees.growth", "--measure", str(path)]
            command += ["--workers", str(arguments.workers)]
            found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        steps = found["steps"]
        print(
            f"{steps:>12,} {found['nodes']:>12,} {found['seconds']:>8.2f} "
            f"{found['seconds'] / steps * 1e6:>8.2f} {found['cpu'] / steps * 1e6:>12.2f} "
            f"{found['megabytes']:>8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
