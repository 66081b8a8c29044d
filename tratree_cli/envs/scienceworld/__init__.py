"""ScienceWorld as a text environment: the original simulator in Java processes that tratree starts.

Which task is where, limits and lists are facts that ship with the project (``tasks``); everything
that an agent reads comes from the simulator (``simulator``, ``simulator_pool``). Demonstrations are
the simulator's own solutions, shortened and checked (``gold``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tratree_cli.envs.protocol import Environment


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
