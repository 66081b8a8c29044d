"""What worker processes gain: the same shards with one process and with several.

    OMP_NUM_THREADS=1 python -m benchmarks.rollouts.workers [--workers 2] [--tasks 240]

Every run is a program of its own, from its start to the merged rollouts, which must be equal. Wall
time means something on a quiet machine only (the load average is printed beside it). CPU seconds
mean something on any: *in all* they show what splitting costs, and the *longest path* (the parent
and its busiest worker, one after the other) is what no number of free cores gets below.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One run; all times in seconds. ``path`` is the CPU time of the longest path."""

    wall: float
    cpu: float
    path: float
    digest: str
    load: float


class Watch:
    """The CPU seconds of this process's workers, by process, as last seen while they lived."""

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        tick = os.sysconf("SC_CLK_TCK")
        while not self._done.wait(0.1):
            for child in multiprocessing.active_children():
                with contextlib.suppress(OSError):
                    stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
                    self.seconds[child.pid or 0] = (int(stat[11]) + int(stat[12])) / tick


def run(workers: int, tasks: int, samples: int) -> Run:
    """Play ``samples`` shards of ``tasks`` episodes each, in this process or in workers."""
    began = time.perf_counter()
    from tratree_cli.agents.sampling_plan import SamplingPlan
    from tratree_cli.agents.shard_player import PolicySource
    from tratree_cli.agents.shards import explore
    from tratree_cli.config import load_recipe
    from tratree_cli.envs.registry import open_environment
    from tratree_cli.resources import templates_dir
    from tratree_cli.stages.environments import environment_spec, prompt_folder, read_prompt

    config = load_recipe("quick")
    names = list(open_environment(environment_spec(config)).splits()["train"])[:tasks]
    plan = SamplingPlan(names, m=samples, block=tasks, sources=("tratree-s",))
    limits = {"max_new_tokens": 96, "max_context": 1024, "device": "cpu"}
    source = PolicySource("tratree-s", str(templates_dir() / "models" / "tratree-s"), limits)
    with tempfile.TemporaryDirectory() as work, Watch() as watch:
        played = explore(
            environment_spec(config),
            [source],
            plan,
            work=Path(work),
            prompt=read_prompt(prompt_folder(config)),
            workers=workers,
        )
    words = repr((played.trajectories, played.texts.texts)).encode()
    here, busy = time.process_time(), list(watch.seconds.values())
    return Run(
        wall=time.perf_counter() - began,
        cpu=here + sum(busy),
        path=here + max(busy, default=0.0),
        digest=hashlib.sha256(words).hexdigest(),
        load=os.getloadavg()[0],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=240, help="episodes of a shard")
    parser.add_argument("--samples", type=int, default=8, help="shards")
    parser.add_argument("--only", type=int, help="one run with so many workers, as JSON")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(asdict(run(arguments.only, arguments.tasks, arguments.samples))))
        return
    found = []
    for workers in (1, arguments.workers):
        words = [sys.executable, "-m", "benchmarks.rollouts.workers", "--only", str(workers)]
        words += ["--tasks", str(arguments.tasks), "--samples", str(arguments.samples)]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        found.append(one := Run(**json.loads(done.stdout.splitlines()[-1])))
        print(
            f"{workers} workers: {one.wall:6.1f} s (load {one.load:.1f}), CPU {one.cpu:6.1f} s",
            end="",
        )
        print(f" in all, {one.path:6.1f} s on the longest path", flush=True)
    alone, both = found
    print(f"{alone.wall / both.wall:.2f} times as fast on {os.cpu_count()} cores", end="")
    print(
        f" (at best {alone.path / both.path:.2f}), {both.cpu / alone.cpu:.2f} times the CPU", end=""
    )
    print(", the same rollouts" if alone.digest == both.digest else ", DIFFERENT ROLLOUTS")
    sys.exit(alone.digest != both.digest)


if __name__ == "__main__":
    main()
