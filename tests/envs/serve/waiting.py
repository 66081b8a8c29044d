"""An environment in one file that is slow and breaks where it is told to, for the server's tests.

``wait N`` says so on stderr and waits N tenths of a second, ``break`` raises, ``die`` ends the
process, ``win`` ends the episode with score 1; anything else is echoed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence

from tratree_cli.envs.protocol import EnvironmentSpec, Outcome
from tratree_cli.errors import InputError

NAME = "python:tests.envs.serve.waiting:open_environment"


class Waiting:
    def reset(self) -> str:
        return "begin"

    def step(self, action: str) -> Outcome:
        if action == "break":
            raise OSError("the disk is on fire \ud800")
        if action == "die":
            os._exit(3)
        if action.startswith("wait "):
            sys.stderr.write(f"{action}\n")
            sys.stderr.flush()
            time.sleep(int(action[5:]) / 10)
        return Outcome(f"did {action}", float(action == "win"), action == "win", action == "win")

    def available_actions(self) -> Sequence[str]:
        return ["win", "wait 1"]


class WaitingEnvironment:
    spec = EnvironmentSpec(NAME, "embedded", "1")

    def splits(self) -> Mapping[str, Sequence[str]]:
        return {"train": ["a", "b", "broken"], "test": ["c"], "empty": []}

    def instruction(self, task: str) -> str:
        if task == "broken":
            raise RuntimeError("this task cannot be read")
        if task not in ("a", "b", "c"):
            raise InputError(f"there is no task '{task}'")
        return f"Do {task}."

    def task_type(self, task: str) -> str:
        return "waiting"

    def max_steps(self, task: str) -> int:
        return 100

    def episode(self, task: str) -> Waiting:
        return Waiting()

    def expert(self, task: str) -> object:
        raise NotImplementedError

    def close(self) -> None: ...


def open_environment(data: str = "embedded") -> WaitingEnvironment:
    return WaitingEnvironment()
