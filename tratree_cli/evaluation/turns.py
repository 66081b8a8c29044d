"""How an episode's turns went, counted from the stored episode: repeated and malformed ones.

Texts are compared by their numbers alone, so no text table is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tratree_cli.evaluation.results import EpisodeResult
from tratree_cli.formats.rollouts import (
    TRAJECTORIES,
    Trajectory,
    read_jsonl,
    trajectory_from,
)

UNPARSABLE_ACTION = -1
"""What a trajectory has in the place of an action that no output held."""


def malformed_turns(trajectory: Trajectory) -> int:
    """Turns whose output holds no action."""
    return sum(action == UNPARSABLE_ACTION for action in trajectory.actions)


def repeated_turns(trajectory: Trajectory) -> int:
    """Turns that repeat an action which can lead nowhere new.

    A turn does so if the episode took the same action in the same observation before, or if the
    turn before took the same action and this one leaves the observation as it was. Walking on
    through pages with one action is no repetition: every page is another observation.
    """
    taken: set[tuple[int, int]] = set()
    repeated = 0
    observations = trajectory.observations
    for turn, action in enumerate(trajectory.actions):
        if action == UNPARSABLE_ACTION or turn >= len(observations):
            continue
        state = (observations[turn], action)
        again = turn > 0 and trajectory.actions[turn - 1] == action
        unchanged = turn + 1 < len(observations) and observations[turn + 1] == observations[turn]
        repeated += state in taken or (again and unchanged)
        taken.add(state)
    return repeated


def with_turns(results: Sequence[EpisodeResult], folder: Path) -> tuple[EpisodeResult, ...]:
    """The results with their turns counted from the episodes stored in ``folder``.

    Unchanged where no episodes lie there, or others than those of the results (an evaluation that
    another program wrote).
    """
    path = folder / TRAJECTORIES
    if not path.is_file():
        return tuple(results)
    trajectories = [trajectory_from(record) for record in read_jsonl(path)]
    if [(t.task, t.sample, t.steps) for t in trajectories] != [
        (r.task, r.sample, r.steps) for r in results
    ]:
        return tuple(results)
    return tuple(
        replace(result, repeated=repeated_turns(played), malformed=malformed_turns(played))
        for result, played in zip(results, trajectories, strict=True)
    )
