"""ScienceWorld as a text environment: the original simulator in Java processes that tratree starts.

Which task is where, limits and lists are facts that ship with the project (``tasks``); everything
that an agent reads comes from the simulator (``simulator``, ``simulator_pool``). Demonstrations are
the simulator's own solutions, shortened and checked (``gold``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli.envs.protocol import FINISHED, RewardPart, ScoredEpisode

if TYPE_CHECKING:
    from tratree_cli.envs.protocol import Environment


def _failed(episode: ScoredEpisode) -> bool:
    return episode.finished and (episode.score or 0.0) < 1.0


def _some_subgoal(episode: ScoredEpisode) -> bool:
    return (episode.score or 0.0) > 0.0


REWARD_PARTS = (
    replace(FINISHED, name="ended", meaning="the simulator ended the task, well or badly"),
    RewardPart(
        "failed",
        _failed,
        "the simulator ended the task below a score of 1, as after a wrong focus",
        with_reward=False,
        better="fewer",
    ),
    RewardPart("met a subgoal", _some_subgoal, "a score above 0", with_reward=False, better="more"),
)
"""A task ends when it is solved and when it is spoilt; subgoals score either way."""


def open_environment(data: str = "embedded", **parameters: Any) -> Environment:
    """Open ScienceWorld; ``data`` is ``embedded`` (the installed simulator) or a folder with a jar.

    ``parameters``: see :class:`tratree_cli.envs.scienceworld.environment.Parameters`.
    """
    from tratree_cli.envs.scienceworld.environment import open_scienceworld

    return open_scienceworld(data, **parameters)


def data_files(data: str) -> Sequence[Path]:
    """The simulator itself: another jar is other data."""
    from tratree_cli.envs.scienceworld.installation import jar_candidates

    return [path for path in jar_candidates(data) if path.is_file()]


_SHOWN = frozenset(
    ("go", "teleport", "look", "examine", "inventory", "task", "read", "open", "close")
)


def lasting_effect(action: str) -> bool:
    """Whether an action changes the world beyond what the room and its doors show."""
    return action.partition(" ")[0] not in _SHOWN
