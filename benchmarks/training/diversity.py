"""Does Eq. 5 make exploration more diverse, and at what price? The same recipe, tasks and seeds.

    python -m benchmarks.training.diversity [--recipe quick] [--tasks 60] [-m 6] [--at 0.3,0.2 ...]

The imitator is the SFT weak model; an explorer is trained on the same demonstrations and kept away
from it (``--diverge-from``), once for every λ,cap of ``--at``. All play the same tasks M times.
Printed is what their trees hold, and what they hold when the imitator's trajectories join them,
beside as many trajectories of the imitator alone.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Hashable, Iterable
from pathlib import Path
from statistics import fmean

SHOWN = {
    "average_reward": "average reward",
    "success_rate": "success rate",
    "paths_per_tree": "distinct paths a tree",
    "divergences": "divergences",
    "divergent_nodes": "share of inner nodes that diverge",
    "outcome_entropy": "entropy of outcomes, bits",
    "pairs": "pairs mined",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("-m", type=int, default=6)
    parser.add_argument("--at", nargs="*", default=["0.3,0.2"], metavar="LAMBDA,CAP")
    parser.add_argument("--folder", type=Path, help="where the store lies [default: thrown away]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options.folder or Path(scratch), options.tasks)
        weak = bench("sft", "--recipe", options.recipe)
        alone = bench.explore(weak, options.m)
        bench.show(f"imitator (Eq. 4), M = {options.m}", alone)
        bench.show(f"imitator, M = {2 * options.m}", bench.explore(weak, 2 * options.m))
        for at in options.at:
            weight, cap = at.split(",")
            explorer = bench(
                "sft", weak["inputs"]["demos"][0], "--diverge-from", weak["ref"],
                "--diverge-weight", weight, "--set", f"sft.diverge_cap={cap}",
            )  # fmt: skip
            training = json.loads((bench.path(explorer) / "training.json").read_text())
            curves = {name: points[-1][1] for name, points in training["curves"].items()}
            found = bench.explore(explorer, options.m)
            bench.show(f"explorer (Eq. 5), λ {weight}, cap {cap}, M = {options.m}", found)
            print("  " + "  ".join(f"{name} {curves[name]:.3f}" for name in ("kl", "kl_capped")))
            bench.show(f"both together, {options.m} + {options.m}", alone, found)


class Bench:
    """The command line over one store."""

    def __init__(self, folder: Path, tasks: int) -> None:
        self.folder = folder
        self.tasks = tasks

    def __call__(self, *words: str) -> dict:
        done = subprocess.run(
            [sys.executable, "-m", "tratree_cli.app", *words, "--json", "--no-stdin"],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    def explore(self, model: dict, m: int) -> dict:
        return self("explore", model["ref"], "-m", str(m), "--limit", str(self.tasks))

    def path(self, made: dict) -> Path:
        return self.folder / made["path"]

    def show(self, name: str, *rollouts: dict) -> None:
        """What the tree of ``rollouts`` holds."""
        tree = self("build-tree", *(one["ref"] for one in rollouts))
        pairs = self("mine-pairs", tree["ref"])
        found = {**tree["summary"], "pairs": pairs["summary"]["pairs"]}
        for key in ("average_reward", "success_rate"):
            found[key] = fmean(one["summary"][key] for one in rollouts)
        shown = {spoken: found[key] for key, spoken in SHOWN.items()}
        shown |= different([self.path(one) for one in rollouts])
        print(name)
        for key, value in shown.items():
            print(f"  {key:<44} {value:.3f}", flush=True)


def different(folders: list[Path]) -> dict[str, float]:
    """How a task's trajectories differ, in the mean over tasks."""
    from tratree_cli.formats.rollouts import read_rollouts

    tasks: dict[str, list[tuple[str, ...]]] = {}
    tried: list[bool] = []
    for read in map(read_rollouts, folders):
        for one in read.trajectories:
            said = tuple(read.texts[a] if a >= 0 else "" for a in one.actions)
            tasks.setdefault(one.task, []).append(said)
            tried += one.valid
    actions = [[action for one in said for action in one] for said in tasks.values()]
    return {
        "different trajectories a task": fmean(len(set(said)) for said in tasks.values()),
        "entropy of trajectories, bits": fmean(map(entropy, tasks.values())),
        "entropy of first actions, bits": fmean(
            entropy(one[:1] for one in said) for said in tasks.values()
        ),
        "different actions a task": fmean(len(set(said)) for said in actions),
        "share of different actions": fmean(len(set(said)) / len(said) for said in actions),
        "share of valid actions": fmean(tried),
        "actions a trajectory": sum(map(len, actions)) / sum(map(len, tasks.values())),
    }


def entropy(values: Iterable[Hashable]) -> float:
    """Of the empirical distribution, in bits."""
    counts = Counter(values)
    total = sum(counts.values())
    return -sum(n / total * math.log2(n / total) for n in counts.values())


if __name__ == "__main__":
    main()
