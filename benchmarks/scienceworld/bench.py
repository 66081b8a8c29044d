"""Steps per second of ScienceWorld: the published wrapper, ours, and ours in two processes.

    python -m benchmarks.scienceworld.bench [--warm-up 4] [--rounds 2] [--json]

All play the same solutions of short and middling tasks, loading included. In every round each
plays in turn, so that a busy machine is busy for all of them; warm-up rounds are not counted,
because Java is slow for its first seconds. Beside the rate stand the CPU milliseconds a step of
Python and Java together, which a busy machine distorts less.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tratree_cli.envs.registry import open_environment

TASKS = ("find-animal", "find-plant", "power-component", "test-conductivity", "use-thermometer")
Plays = list[tuple[str, int, list[str]]]
Player = tuple[Callable[[str, int, list[str]], None], int]
"""What plays an episode, and the process identifier of its Java."""


@dataclass
class Row:
    """Sums over the counted rounds; ``seconds`` are those in which nobody else played."""

    steps: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    def rates(self) -> dict[str, float]:
        return {
            "steps": self.steps,
            "seconds": self.seconds,
            "steps_per_second": self.steps / self.seconds,
            "cpu_ms_per_step": 1000 * self.cpu / self.steps,
        }


def solutions(episodes: int) -> tuple[Plays, float]:
    """``(family, variation, actions)`` of that many episodes, and the CPU seconds to find each."""
    environment: Any = open_environment("scienceworld")
    environment.instruction(f"{TASKS[0]}/0")
    java = environment.seats._seats[0].simulator.pid
    began = time.process_time() + _cpu(java)
    plays: Plays = []
    for number in range(episodes):
        family, variation = TASKS[number % len(TASKS)], number // len(TASKS)
        plan = environment.plan(f"{family}/{variation}")
        plays.append((family, variation, list(plan.actions)))
    used = time.process_time() + _cpu(java) - began
    environment.close()
    return plays, used / episodes


def ours() -> Player:
    environment: Any = open_environment("scienceworld")
    environment.instruction(f"{TASKS[0]}/0")

    def play(family: str, variation: int, actions: list[str]) -> None:
        episode = environment.episode(f"{family}/{variation}")
        episode.reset()
        for action in actions:
            episode.step(action)

    return play, environment.seats._seats[0].simulator.pid


def stock() -> Player:
    from scienceworld import ScienceWorldEnv

    world = ScienceWorldEnv("")

    def play(family: str, variation: int, actions: list[str]) -> None:
        world.load(family, variation, "easy")
        world.reset()
        for action in actions:
            world.step(action)

    return play, world._gateway.java_process.pid


def _player(make: Callable[[], Player], plays: Plays, orders: Connection) -> None:
    """A process that plays everything at each order and answers with the CPU seconds it took."""
    play, java = make()
    while orders.recv():
        cpu = time.process_time() + _cpu(java)
        for episode in plays:
            play(*episode)
        orders.send(time.process_time() + _cpu(java) - cpu)


def compare(plays: Plays, warm_up: int, rounds: int) -> dict[str, Row]:
    """Each in turn, round after round; two of ours also together."""
    context = get_context("spawn")
    pipes, crew = [], []
    for make in (stock, ours, ours):
        here, there = context.Pipe()
        crew.append(context.Process(target=_player, args=(make, plays, there), daemon=True))
        crew[-1].start()
        pipes.append(here)
    published, first, second = pipes
    turns = {"stock wrapper": [published], "tratree": [first], "two processes": [first, second]}
    rows = {name: Row() for name in turns}
    length = sum(len(actions) for _, _, actions in plays)
    for number in range(warm_up + rounds):
        for name, players in turns.items():
            seconds, cpu = _turn(players)
            if number >= warm_up:
                row = rows[name]
                row.steps += length * len(players)
                row.seconds, row.cpu = row.seconds + seconds, row.cpu + cpu
    for pipe in pipes:
        pipe.send(False)
    for process in crew:
        process.join()
    return rows


def _turn(players: Sequence[Connection]) -> tuple[float, float]:
    began = time.perf_counter()
    for player in players:
        player.send(True)
    cpu = sum(player.recv() for player in players)
    return time.perf_counter() - began, cpu


def _cpu(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--warm-up", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    plays, finding = solutions(options.episodes)
    found = compare(plays, options.warm_up, options.rounds)
    rows = {name: row.rates() for name, row in found.items()}
    one, two, published = rows["tratree"], rows["two processes"], rows["stock wrapper"]
    result = {
        "rows": rows,
        "times_stock": one["steps_per_second"] / published["steps_per_second"],
        "times_stock_cpu": published["cpu_ms_per_step"] / one["cpu_ms_per_step"],
        "two_over_one": two["steps_per_second"] / one["steps_per_second"],
        "demonstration_cpu_seconds": finding,
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
        f"with two processes (load of the machine {result['load']:.1f}); "
        f"{finding:.2f} CPU seconds to find and check a demonstration"
    )


if __name__ == "__main__":
    main()
