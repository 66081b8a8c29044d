"""ALFWorld as a text environment: the original's games without its engine, and generated
households.

``embedded`` are households of tratree's generator; a folder with the official games (what
``ALFWORLD_DATA`` names, or its ``json_2.1.x``) is played by the same engine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tratree_cli.envs.protocol import FINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tratree_cli.envs.protocol import Environment

__all__ = ["REWARD_PARTS", "data_files", "lasting_effect", "open_environment"]

REWARD_PARTS = (
    replace(FINISHED, name="solved", meaning="ended because the goal was met", with_reward=False),
)
"""A game ends when its goal is met and has no other score, so the reward of these is always 1."""


def open_environment(data: str = "embedded", **parameters: Any) -> Environment:
    """Open the embedded households or a folder of game files.

    ``parameters``: see :class:`tratree_cli.envs.alfworld.environment.Parameters`.
    """
    from tratree_cli.envs.alfworld.environment import open_alfworld

    return open_alfworld(data, **parameters)


def data_files(data: str) -> Iterable[Path]:
    """The game files of a folder, whose sizes and times show whether it changed."""
    from tratree_cli.envs.alfworld.folder import game_files

    return game_files(data)


_SHOWN = frozenset(("go", "look", "examine", "inventory", "open", "close", "help"))


def lasting_effect(action: str) -> bool:
    """Whether an action moves or changes a thing; what is open is told wherever one stands."""
    return action.partition(" ")[0] not in _SHOWN
