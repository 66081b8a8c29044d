"""Does Eq. 5 make exploration more diverse? Two explorers of one recipe, the same tasks and seeds.

    python -m benchmarks.training.diversity [--recipe quick] [--tasks 60] [-m 6]

The imitator is the SFT weak model; the explorer is trained on the same demonstrations and kept away
from it (``--diverge-from``). Both play the same tasks; printed is what their trees hold.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean

SHOWN = (
    "average_reward",
    "success_rate",
    "steps",
    "paths_per_tree",
    "divergences",
    "divergent_nodes",
    "outcome_entropy",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--tasks", default="60")
    parser.add_argument("-m", default="6")
    parser.add_argument("--weights", nargs="*", default=["0.3"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        recipe = ("--recipe", options.recipe)
        weak = tratree(folder, "sft", *recipe)
        explorers = {"imitator (Eq. 4)": weak}
        for weight in options.weights:
            explorers[f"explorer (Eq. 5, lambda {weight})"] = tratree(
                folder, "sft", weak["inputs"]["demos"][0], "--diverge-from", weak["ref"],
                "--diverge-weight", weight,
            )  # fmt: skip
        for name, model in explorers.items():
            rollouts = tratree(
                folder, "explore", model["ref"], "-m", options.m, "--limit", options.tasks
            )
            tree = tratree(folder, "build-tree", rollouts["ref"])
            found = {**rollouts["summary"], **tree["summary"]}
            shown = {key: found[key] for key in SHOWN if key in found} | different(rollouts)
            print(name)
            for key, value in shown.items():
                print(f"  {key:<28} {value:.3f}", flush=True)


def different(rollouts: dict) -> dict[str, float]:
    """What a task's trajectories have in different ones, in the mean over tasks."""
    from tratree_cli.formats.rollouts import read_rollouts

    read = read_rollouts(Path(rollouts["folder"]) / rollouts["path"])
    tasks: dict[str, list[tuple[str, ...]]] = {}
    for one in read.trajectories:
        said = tuple(read.texts[a] if a >= 0 else "" for a in one.actions)
        tasks.setdefault(one.task, []).append(said)
    means = {
        "trajectories": [len(set(said)) for said in tasks.values()],
        "first_actions": [len({one[:1] for one in said}) for said in tasks.values()],
        "actions": [len({action for one in said for action in one}) for said in tasks.values()],
    }
    return {f"different_{name}_a_task": fmean(found) for name, found in means.items()}


def tratree(folder: Path, *words: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "tratree_cli.app", *words, "--json", "--no-stdin"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {**json.loads(done.stdout), "folder": str(folder)}


if __name__ == "__main__":
    main()
