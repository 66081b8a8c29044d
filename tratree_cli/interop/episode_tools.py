"""What every class of tools has: an episode that a row of the data set begins, and its reward."""

from __future__ import annotations

from typing import Any, ClassVar

from tratree_cli.envs.agent_episode import AgentEpisode, EpisodeError
from tratree_cli.errors import InputError
from tratree_cli.interop.opening import EpisodeMaker

TASK_COLUMNS = ("task", "index", "seed", "split")


class EpisodeTools:
    """An episode and its reward. A subclass adds the verbs: every public method is a tool."""

    _maker: ClassVar[EpisodeMaker]

    def __init__(self) -> None:
        self._episode: AgentEpisode | None = None

    def reset(self, **row: Any) -> str:
        """Begin the task that the row's ``task``, ``index`` or ``seed`` (and ``split``) means."""
        wanted = {name: row[name] for name in TASK_COLUMNS if row.get(name) is not None}
        if not wanted.keys() - {"split"}:
            # Drawn here, the rollouts of one group would play different tasks.
            raise InputError("a row of the data set needs a column task, index or seed")
        self._episode = self._maker.episode(**wanted)
        return self._episode.reset().text

    def get_reward(self) -> float:
        """The score so far; the final one once the episode is over."""
        state = self._episode.state if self._episode else None
        return state.score if state else 0.0

    def _act(self, action: str) -> str:
        if self._episode is None:
            raise EpisodeError("the episode has not begun; reset it first")
        return self._episode.step(action).text
