"""Steps per second of ScienceWorld: the published wrapper, ours, and ours in two processes.

    python -m benchmarks.scienceworld.bench [--episodes 20] [--json]

The same solutions of short and middling tasks are played by all, loading included, after a warm-up
that is not counted (Java is slow for its first seconds). Beside the rate stand the CPU milliseconds
a step of Python and Java together, which a busy machine distorts less.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from tratree_cli.envs.registry import open_environment

TASKS = ("find-animal", "find-plant", "power-component", "test-conductivity", "use-thermometer")
WARM_UP = 5
Plays = list[tuple[str, int, list[str]]]


def solutions(episodes: int) -> Plays:
    """``(family, variation, actions)`` of that many episodes."""
    environment: Any = open_environment("scienceworld")
    plays: Plays = []
    for number in range(min(episodes, 10)):
        family, variation = TASKS[number % len(TASKS)], number // len(TASKS)
        plan = environment.plan(f"{family}/{variation}")
        plays.append((family, variation, list(plan.actions)))
    environment.close()
    return [plays[number % len(plays)] for number in range(episodes)]


def ours(plays: Plays, ready: Callable[[], object] = bool) -> dict[str, float]:
    """``ready`` is called between the warm-up and what is counted."""
    environment: Any = open_environment("scienceworld")

    def play(part: Plays) -> int:
        for family, variation, actions in part:
            episode = environment.episode(f"{family}/{variation}")
            episode.reset()
            for action in actions:
                episode.step(action)
        return sum(len(actions) for _, _, actions in part)

    play(plays[:WARM_UP])
    ready()
    measured = _measured(play, plays, environment.seats._seats[0].simulator.pid)
    environment.close()
    return measured


def stock(plays: Plays) -> dict[str, float]:
    from scienceworld import ScienceWorldEnv

    world = ScienceWorldEnv("")

    def play(part: Plays) -> int:
        for family, variation, actions in part:
            world.load(family, variation, "easy")
            world.reset()
            for action in actions:
                world.step(action)
        return sum(len(actions) for _, _, actions in part)

    play(plays[:WARM_UP])
    measured = _measured(play, plays, world._gateway.java_process.pid)
    world.close()
    return measured


def pair(plays: Plays, processes: int = 2) -> dict[str, float]:
    """``ours`` in several processes that start together, each with all the plays."""
    context = get_context("spawn")
    barrier, answers = context.Barrier(processes), context.Queue()
    crew = [
        context.Process(target=_together, args=(plays, barrier, answers)) for _ in range(processes)
    ]
    for process in crew:
        process.start()
    found = [answers.get() for _ in crew]
    for process in crew:
        process.join()
    seconds = max(one["seconds"] for one in found)
    steps = sum(one["steps"] for one in found)
    cpu = sum(one["cpu_ms_per_step"] for one in found) / processes
    return {"steps": steps, "seconds": seconds, "steps_per_second": steps / seconds} | {
        "cpu_ms_per_step": cpu
    }


def _together(plays: Plays, barrier: Barrier, answers: Any) -> None:
    answers.put(ours(plays, barrier.wait))


def _measured(play: Any, plays: Plays, java: int) -> dict[str, float]:
    cpu, began = time.process_time() + _cpu(java), time.perf_counter()
    steps = play(plays)
    seconds = time.perf_counter() - began
    used = time.process_time() + _cpu(java) - cpu
    return {
        "steps": steps,
        "seconds": seconds,
        "steps_per_second": steps / seconds,
        "cpu_ms_per_step": 1000 * used / steps,
    }


def _cpu(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    plays = solutions(options.episodes)
    rows = {"stock wrapper": stock(plays), "tratree": ours(plays), "two processes": pair(plays)}
    one, two = rows["tratree"], rows["two processes"]
    result = {
        "rows": rows,
        "times_stock": one["steps_per_second"] / rows["stock wrapper"]["steps_per_second"],
        "times_stock_cpu": rows["stock wrapper"]["cpu_ms_per_step"] / one["cpu_ms_per_step"],
        "two_over_one": two["steps_per_second"] / one["steps_per_second"],
        "load": os.getloadavg()[0],
    }
    if options.json:
        print(json.dumps(result))
        return
    for name, row in rows.items():
        print(
            f"{name:14} {row['steps_per_second']:8.1f} steps/s "
            f"{row['cpu_ms_per_step']:8.2f} CPU ms a step"
        )
    print(
        f"{result['times_stock']:.1f} times the stock wrapper "
        f"({result['times_stock_cpu']:.1f} times by CPU), {result['two_over_one']:.2f} times that "
        f"with two processes (load of the machine {result['load']:.1f})"
    )


if __name__ == "__main__":
    main()
