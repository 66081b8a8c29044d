"""gymnasium's ``Env`` over any of the environments: texts in, texts out, the five-tuple.

``gymnasium.make("tratree_cli.interop.gymnasium_env:tratree/webshop-v0")`` works as well, since
importing this module registers the three built-in environments.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium import spaces

from tratree_cli.envs.agent_episode import AgentEpisode, EpisodeError
from tratree_cli.envs.protocol import Environment
from tratree_cli.interop.opening import EpisodeMaker, Information

LONGEST_OBSERVATION = 2**20
LONGEST_ACTION = 4096
BUILT_IN = ("webshop", "alfworld", "scienceworld")


class AnyText(spaces.Text):
    """Texts of any characters up to a length; samples are printable ASCII of at most 64."""

    def __init__(self, max_length: int) -> None:
        super().__init__(64, min_length=0, charset=string.printable)
        self.longest = max_length

    def contains(self, x: Any) -> bool:
        return isinstance(x, str) and len(x) <= self.longest

    def __repr__(self) -> str:
        return f"AnyText({self.longest})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnyText) and other.longest == self.longest


class TextEnv(gymnasium.Env[str, str]):
    """One environment, an episode at a time.

    ``reset(options=...)`` names a task by ``task``, ``index`` or ``seed``, and a ``split``; without
    any the task is drawn with the environment's generator, so ``reset(seed=s)`` always begins the
    same one. The reward is the increment of the score. Parameters are those of
    :class:`~tratree_cli.interop.opening.EpisodeMaker`; ``parameters`` are the environment's own.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"]}  # noqa: RUF012

    def __init__(
        self,
        environment: str | Environment = "webshop",
        *,
        data: str = "embedded",
        split: str = "",
        max_steps: int = 0,
        react: bool = False,
        actions: bool = True,
        parameters: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.observation_space = AnyText(LONGEST_OBSERVATION)
        self.action_space = AnyText(LONGEST_ACTION)
        self.render_mode = render_mode
        self._maker = EpisodeMaker(
            environment,
            data=data,
            split=split,
            max_steps=max_steps,
            react=react,
            actions=actions,
            parameters=parameters,
        )
        self._episode: AgentEpisode | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, Information]:
        """Begin an episode; ``InputError`` for a task that is not there."""
        super().reset(seed=seed)
        wanted = dict(options or {})
        if not wanted.keys() & {"task", "index", "seed"}:
            wanted["seed"] = int(self.np_random.integers(2**31))
        self._episode = self._maker.episode(**wanted)
        state = self._episode.reset()
        return state.text, self._maker.information(self._episode, state)

    def step(self, action: str) -> tuple[str, float, bool, bool, Information]:
        """Take the agent's output; ``EpisodeError`` before a reset and after the end."""
        if self._episode is None:
            raise EpisodeError("the episode has not begun; reset it before the first step")
        state = self._episode.step(str(action))
        info = self._maker.information(self._episode, state)
        return state.text, state.reward, state.terminated, state.truncated, info

    def render(self) -> str | None:
        """The latest text, with ``render_mode="ansi"``."""
        if self.render_mode != "ansi" or self._episode is None or self._episode.state is None:
            return None
        return self._episode.state.text


def register() -> None:
    """Make ``tratree/NAME-v0`` known to ``gymnasium.make``; safe to call twice."""
    for name in BUILT_IN:
        identifier = f"tratree/{name}-v0"
        if identifier not in gymnasium.registry:
            gymnasium.register(
                identifier,
                entry_point=f"{__name__}:TextEnv",
                kwargs={"environment": name},
                vector_entry_point="tratree_cli.interop.gymnasium_vector:TextVectorEnv",
            )


register()
