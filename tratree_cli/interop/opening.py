"""Opening an environment once per process, and beginning episodes of it, for every adapter.

Trainers make one environment object per rollout, hundreds at a time; what is expensive (a
catalogue, its search index, Java processes) is shared by all that name the same data.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

from tratree_cli.envs.agent_episode import AgentEpisode, AgentState
from tratree_cli.envs.protocol import Environment
from tratree_cli.envs.registry import open_environment
from tratree_cli.envs.task_choice import TaskChooser

_OPENING = threading.Lock()
_OPEN: dict[tuple[int, str, str, str], Environment] = {}

Information = dict[str, Any]
"""What a trainer may see beside the text: task, instruction, available_actions, score, success,
valid, steps."""


def shared_environment(
    environment: str | Environment,
    data: str = "embedded",
    parameters: Mapping[str, Any] | None = None,
) -> Environment:
    """The process's environment of this name, data and parameters; an open one is itself.

    ``InputError`` for what cannot be opened.
    """
    if not isinstance(environment, str):
        return environment
    # A forked child must not use its parent's simulators.
    key = (os.getpid(), environment, data, repr(sorted((parameters or {}).items())))
    with _OPENING:
        if key not in _OPEN:
            _OPEN[key] = open_environment(environment, data, parameters)
        return _OPEN[key]


class EpisodeMaker:
    """Begins episodes of one environment; what the adapters for single episodes are made of.

    ``split`` is where tasks come from when none is named, ``max_steps`` replaces the environment's
    limit unless 0, ``react`` wants an ``Action: `` in every output (else bare actions will do),
    ``actions`` puts the available actions into the information, which costs 40 to 100 ms a step in
    ScienceWorld.
    """

    def __init__(
        self,
        environment: str | Environment,
        *,
        data: str = "embedded",
        split: str = "",
        max_steps: int = 0,
        react: bool = False,
        actions: bool = True,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.environment = shared_environment(environment, data, parameters)
        self.chooser = TaskChooser(self.environment, split)
        self.actions = actions
        self._max_steps = max_steps
        self._react = react

    def episode(
        self,
        *,
        split: object = None,
        task: object = None,
        index: object = None,
        seed: object = None,
    ) -> AgentEpisode:
        """A fresh episode of the task that is meant (see :meth:`TaskChooser.choose`)."""
        chosen = self.chooser.choose(split=split, task=task, index=index, seed=seed)
        return AgentEpisode(self.environment, chosen, max_steps=self._max_steps, react=self._react)

    def information(self, episode: AgentEpisode, state: AgentState) -> Information:
        """The information that is returned beside the text after a reset or a step."""
        info: Information = {
            "task": episode.task,
            "instruction": episode.instruction,
            "score": state.score,
            "success": state.success,
            "valid": state.valid,
            "steps": state.steps,
        }
        if self.actions:
            info["available_actions"] = episode.available_actions()
        return info
