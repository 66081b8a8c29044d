"""A small deterministic text environment: find the room with the lamp and switch it on.

The task number decides in which room it is; the observation names the room where one stands. Every
parameter that injects a failure writes to or reads from files, so that it works across processes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tratree_cli.envs.protocol import EnvironmentSpec, Outcome

ROOMS = ("hall", "kitchen", "attic", "cellar")


@dataclass
class ToyEpisode:
    task: str
    crash: str = ""
    poison: str = ""
    where: int = 0
    seen: list[str] = field(default_factory=list)

    @property
    def lamp(self) -> int:
        return 1 + int(self.task) % (len(ROOMS) - 1)

    def reset(self) -> str:
        self.where = 0
        return f"Task {self.task}: light the lamp in the {ROOMS[self.lamp]}. " + self._look()

    def step(self, action: str) -> Outcome:
        if self.crash:
            crash_once(Path(self.crash), self.task)
        if action == "light":
            right = self.where == self.lamp
            return Outcome("It is bright." if right else "No lamp.", float(right), True, right)
        verb, _, room = action.partition(" ")
        if verb == "go" and room in ROOMS:
            self.where = ROOMS.index(room)
            return Outcome(self._look(), 0.25 * (self.where == self.lamp), False)
        return Outcome("Nothing happens.", 0.0, False, valid=False)

    def available_actions(self) -> Sequence[str]:
        return [f"go {room}" for room in ROOMS if room != ROOMS[self.where]] + ["light"]

    def _look(self) -> str:
        return f"You are in the {ROOMS[self.where]}.{self.poison}"


class ToyExpert:
    def __init__(self, room: str) -> None:
        self.room = room

    def act(self, observation: str) -> tuple[str, str]:
        if observation.endswith(f"You are in the {self.room}."):
            return "I am there.", "light"
        return f"I must get to the {self.room}.", f"go {self.room}"


class ToyEnvironment:
    def __init__(self, spec: EnvironmentSpec) -> None:
        self.spec = spec
        self.parameters = dict(spec.parameters)

    def splits(self) -> Mapping[str, Sequence[str]]:
        return {"train": [str(number) for number in range(self.parameters.get("tasks", 12))]}

    def instruction(self, task: str) -> str:
        return f"Task {task}: light the lamp."

    def task_type(self, task: str) -> str:
        return "lamp"

    def max_steps(self, task: str) -> int:
        return int(self.parameters.get("steps", 5))

    def episode(self, task: str) -> ToyEpisode:
        return ToyEpisode(task, self.parameters.get("crash", ""), self.parameters.get("poison", ""))

    def expert(self, task: str) -> ToyExpert:
        return ToyExpert(ROOMS[ToyEpisode(task).lamp])

    def close(self) -> None:
        pass


def open_environment(data: str = "embedded", **parameters: Any) -> ToyEnvironment:
    spec = EnvironmentSpec("python:tests.agents.toy:open_environment", data, "d" * 64, parameters)
    return ToyEnvironment(spec)


def crash_once(folder: Path, task: str) -> None:
    """Raise (or, for files named ``kill-N``, die) if the folder has a file for this task."""
    for name, act in (("crash", None), ("kill", 9)):
        mark = folder / f"{name}-{task}"
        if mark.exists():
            left = int(mark.read_text() or 1) - 1
            if left:
                # Renamed into place: a worker beside this one must never read half a number.
                new = folder / f"{name}-{task}.{os.getpid()}"
                new.write_text(str(left))
                new.replace(mark)
            else:
                mark.unlink()
            if act:
                os.kill(os.getpid(), act)
            raise RuntimeError("the environment crashed")


def echo_agent(messages: list[dict[str, str]], seed: int) -> str:
    """Goes by its seed; never uses anything else."""
    turn = sum(message["role"] == "assistant" for message in messages)
    choice = (seed >> (2 * turn)) % (len(ROOMS) + 1)
    return "Action: light" if choice == len(ROOMS) else f"Action: go {ROOMS[choice]}"
