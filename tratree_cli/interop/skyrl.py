"""SkyRL's text environment over any of the environments.

Importing this module registers ``tratree``, so a SkyRL data set whose rows have
``"env_class": "tratree"`` and ``"extra_info": {"environment": "webshop", "task": "12"}`` plays it;
``skyrl_gym.make("tratree", extras={...})`` makes one by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import skyrl_gym
from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput

from tratree_cli.envs.agent_episode import AgentEpisode, EpisodeError
from tratree_cli.errors import InputError
from tratree_cli.interop.opening import EpisodeMaker

NAME = "tratree"
TASK_FIELDS = ("task", "index", "seed", "split")
OPENING_FIELDS = ("data", "max_steps", "react", "actions", "parameters")
Conversation = list[dict[str, str]]


class SkyRLEnv(BaseTextEnv):
    """One episode. ``extras`` (or its ``extra_info``) names ``environment`` and the task.

    ``env_config`` is SkyRL's: what is set there holds for all rows (``environment``, ``data``,
    ``max_steps``, ``react``, ``actions``, ``parameters``). ``react`` is on unless set
    otherwise: agents write ``Action: ``.
    """

    def __init__(self, env_config: Any = None, extras: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        settings = {**dict(env_config or {}), **dict(extras or {})}
        settings.update(settings.pop("extra_info", None) or {})
        wanted = {name: settings[name] for name in TASK_FIELDS if settings.get(name) is not None}
        if not wanted.keys() - {"split"}:
            raise InputError("extras need a task, an index or a seed")
        options = {name: settings[name] for name in OPENING_FIELDS if name in settings}
        self._maker = EpisodeMaker(
            str(settings.get("environment", "webshop")),
            **{"react": True, "actions": False, **options},
        )
        self._episode: AgentEpisode | None = self._maker.episode(**wanted)
        self.max_turns = self._episode.max_steps

    def init(self, prompt: Conversation) -> tuple[Conversation, dict[str, Any]]:
        """The prompt with the first observation put after it."""
        episode = self._running()
        self.turns = 0
        state = episode.reset()
        first = {"role": "user", "content": state.text}
        return [*prompt, first], self._maker.information(episode, state)

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """Take the agent's output; the reward is the increment of the score."""
        episode = self._running()
        state = episode.step(action)
        self.turns = state.steps
        # The last page has no answer.
        messages = [] if state.done else [{"role": "user", "content": state.text}]
        return BaseTextEnvStepOutput(
            observations=messages,
            reward=state.reward,
            done=state.done,
            metadata=self._maker.information(episode, state),
            postprocessed_action=None,
        )

    def get_metrics(self) -> dict[str, Any]:
        """Score, success and steps of the episode so far."""
        state = self._episode.state if self._episode else None
        if state is None:
            return {}
        return {"score": state.score, "success": float(state.success), "steps": state.steps}

    def close(self) -> None:
        """Release the episode; safe to call twice."""
        self._episode = None

    def _running(self) -> AgentEpisode:
        if self._episode is None:
            raise EpisodeError("the environment is closed")
        return self._episode


def register() -> None:
    """Make ``tratree`` known to ``skyrl_gym.make``; safe to call twice."""
    if NAME not in skyrl_gym.registry:
        skyrl_gym.register(id=NAME, entry_point=f"{__name__}:SkyRLEnv")


register()
