"""Time and memory per step as forests grow, read from disk a group of tasks at a time.

    python -m benchmarks.trees.growth [--up-to 1e7] [--from 1e4]

Trees of different tasks are independent, so a group is read, grown, searched and let go. Each size
runs in its own process, whose highest memory is what the last column shows. What several processes
gain is measured by ``benchmarks.trees.command``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trees.worlds import write_explorations
from tratree_cli.formats.columns import columns_from_records
from tratree_cli.formats.rollouts import TRAJECTORIES, read_jsonl
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.columns import Columns
from tratree_cli.trees.search.api import search

SAMPLES, STEPS, GROUP = 8, 10, 500


def columns_by_task(path: Path, tasks: int) -> Iterator[Columns]:
    """The columns of ``tasks`` tasks at a time; a task's trajectories lie next to each other."""
    names: set[str] = set()
    group: list[Mapping[str, Any]] = []
    for record in read_jsonl(path):
        if record["task"] not in names and len(names) == tasks:
            yield columns_from_records(group)
            group, names = [], set()
        names.add(record["task"])
        group.append(record)
    if group:
        yield columns_from_records(group)


def measure(path: Path) -> dict:
    start = time.process_time()
    steps = nodes = 0
    for columns in columns_by_task(path, GROUP):
        forest = build_forest(columns)
        search(forest)
        steps, nodes = steps + columns.steps, nodes + len(forest)
    return {
        "steps": steps,
        "nodes": nodes,
        "cpu": time.process_time() - start,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--up-to", type=float, default=1e7)
    parser.add_argument("--from", type=float, default=1e4, dest="start")
    parser.add_argument("--measure", type=Path)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    print(f"{'steps':>12} {'nodes':>12} {'cpu us/step':>12} {'MB peak':>8}")
    for size in 10 ** np.arange(np.log10(arguments.start), np.log10(arguments.up_to) + 0.01):
        with tempfile.TemporaryDirectory() as folder:
            write_explorations(Path(folder), int(size) // (SAMPLES * STEPS), SAMPLES, STEPS, 0)
            command = [sys.executable, "-m", "benchmarks.trees.growth"]
            command += ["--measure", str(Path(folder) / TRAJECTORIES)]
            found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        print(
            f"{found['steps']:>12,} {found['nodes']:>12,} "
            f"{found['cpu'] / found['steps'] * 1e6:>12.2f} {found['megabytes']:>8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
