"""Training by trees against rows and plain TRL on the pairs of a store's artifact.

python -m benchmarks.training.tree_packing_pairs MODEL PAIRS [--limit N] [--batch 16] [--steps 4]

MODEL and PAIRS are folders (``tratree store show REF --json`` says where). Each way is a process of
its own, one thread: CPU seconds of the steps after the first one, and the most memory that the
process had. ``rows`` is our own trainer with ``tree_packing=off``. ``whole`` is all that
``train-strong`` does with encoded pairs: reference scores, first margins, every step and saving.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, takewhile
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.training.tree_packing import plain_seconds, step_seconds
from tratree_cli.formats.pairs import PairMessages, read_pairs
from tratree_cli.formats.rollouts import conversation, read_rollouts
from tratree_cli.models import devices
from tratree_cli.models.library_logging import silence_libraries
from tratree_cli.models.load import load_tokenizer
from tratree_cli.stages.environments import read_prompt
from tratree_cli.training.data import PairRow, pair_rows
from tratree_cli.training.lengths import LengthPolicy
from tratree_cli.training.params import DPOParams
from tratree_cli.training.reference import reference_logps, with_reference
from tratree_cli.training.tree_packing.decision import sharing_in_batches

WAYS = ("rows", "trees", "trl")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--limit", type=int, default=64, help="pairs, the first ones")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=4096, help="tokens of a row, at most")
    parser.add_argument("--prompt", type=Path, help="a prompt's folder, in place of the pairs' own")
    parser.add_argument(
        "--trajectories", action="store_true", help="PAIRS holds rollouts: pair all of a task"
    )
    parser.add_argument("--way", choices=WAYS, help="one of them, in this process")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measured(options)))
        return 0
    found = {}
    for way in WAYS:
        command = [sys.executable, "-m", __spec__.name, *sys.argv[1:], "--way", way]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[way] = json.loads(done.stdout.splitlines()[-1])
    report(found)
    return 0


def report(found: dict[str, dict[str, float]]) -> None:
    rows = found["rows"]
    print(f"sharing {rows['sharing']:.2f}; longest row {rows['longest']:.0f} tokens")
    print(f"against rows: {_times(found, 'rows', ('scores', 'step', 'both', 'whole'))}")
    print(f"against TRL with a live reference: {_times(found, 'trl', ('step', 'both', 'whole'))}")
    peaks = ", ".join(f"{way} {found[way]['peak'] / 2**20:.0f} MiB" for way in WAYS)
    print(f"peak {peaks} (before the steps {rows['before'] / 2**20:.0f} MiB)")


def _times(found: dict[str, dict[str, float]], way: str, measures: Sequence[str]) -> str:
    """How many times as long ``way`` takes as trees do."""
    trees = found["trees"]
    return ", ".join(f"{name} {found[way][name] / trees[name]:.2f}x" for name in measures)


def measured(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of the reference's scores and of the steps, and bytes at the peak."""
    with tempfile.TemporaryDirectory() as scratch, silence_libraries(), devices.threads(1):
        folder = Path(scratch)
        rows = read_rows(options)
        before = _peak()
        scores = 0.0
        begun = time.process_time()
        if options.way == "trl":
            step = plain_seconds(options.model, rows, folder, options.batch)
        else:
            by_trees = options.way == "trees"
            started = time.process_time()
            logps = reference_logps(options.model, rows, by_trees=by_trees)
            scores = time.process_time() - started
            config = DPOParams(
                epochs=1, batch_size=options.batch, checkpoint_every=0, group_by_length=True
            )
            mode = replace(config, tree_packing="on" if by_trees else "off")
            step = step_seconds(options.model, with_reference(rows, logps), mode, folder)
        return {
            "sharing": sharing_in_batches(rows, options.batch).ratio,
            "longest": max(len(ids) for row in rows for ids in row.sequences),
            "scores": scores,
            "step": step,
            "both": scores + step,
            "whole": time.process_time() - begun,
            "peak": _peak(),
            "before": before,
        }


def read_rows(options: argparse.Namespace) -> list[PairRow]:
    if options.trajectories:
        messages = pairs_of_trajectories(options.pairs)[: options.limit]
    else:
        messages = [pair.messages() for pair in read_pairs(options.pairs).pairs[: options.limit]]
    if options.prompt:
        first = read_prompt(options.prompt)
        messages = [
            replace(one, prompt=[*first, *one.prompt[one.prefix :]], prefix=len(first))
            for one in messages
        ]
    rows, _ = pair_rows(load_tokenizer(options.model), messages, LengthPolicy(options.length))
    return rows


def pairs_of_trajectories(folder: Path) -> list[PairMessages]:
    """All trajectories of a task against each other, whatever their scores."""
    rollouts = read_rollouts(folder)
    by_task: dict[str, list[Any]] = {}
    for trajectory in rollouts.trajectories:
        by_task.setdefault(trajectory.task, []).append(conversation(rollouts, trajectory))
    return [
        PairMessages(one[:parted], one[parted:], other[parted:])
        for told in by_task.values()
        for one, other in combinations(told, 2)
        if (parted := shared(one, other)) < min(len(one), len(other))
    ]


def shared(one: list[Any], other: list[Any]) -> int:
    """How many messages two conversations have in common before they part."""
    both = zip(one, other, strict=False)
    return len(list(takewhile(lambda messages: messages[0] == messages[1], both)))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    raise SystemExit(main())
