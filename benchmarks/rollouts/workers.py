"""What worker processes gain: the same shards with one process and with several.

    OMP_NUM_THREADS=1 python -m benchmarks.rollouts.workers [--workers 2] [--tasks 96]

Wall time, loading of the models included, so it means something on a quiet machine only; the load
average is printed beside it. The rollouts must be equal, and that is checked.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tratree_cli.agents.plan import SamplingPlan
from tratree_cli.agents.shards import Source, explore
from tratree_cli.config import load_recipe
from tratree_cli.resources import templates_dir
from tratree_cli.stages.environments import environment_spec, open_environment, read_prompt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=96)
    parser.add_argument("--block", type=int, default=24)
    arguments = parser.parse_args()
    config = load_recipe("quick")
    environment = open_environment(config)
    tasks = list(environment.splits()["train"])[: arguments.tasks]
    plan = SamplingPlan(tasks, block=arguments.block, sources=("tratree-s",))
    limits = {"max_new_tokens": 96, "max_context": 1024, "device": "cpu"}
    source = Source("tratree-s", str(templates_dir() / "models" / "tratree-s"), limits)
    seconds, found = [], []
    for workers in (1, arguments.workers):
        with tempfile.TemporaryDirectory() as work:
            began = time.perf_counter()
            played = explore(
                environment_spec(config),
                [source],
                plan,
                work=Path(work),
                prompt=read_prompt(config),
                workers=workers,
            )
            seconds.append(time.perf_counter() - began)
        found.append((played.trajectories, played.texts.texts))
        load = os.getloadavg()[0]
        print(f"{workers} workers: {seconds[-1]:.1f} s (load {load:.1f})", flush=True)
    same = "the same rollouts" if found[0] == found[1] else "DIFFERENT ROLLOUTS"
    print(f"{seconds[0] / seconds[1]:.2f} times as fast on {os.cpu_count()} cores, {same}")
    sys.exit(found[0] != found[1])


if __name__ == "__main__":
    main()
