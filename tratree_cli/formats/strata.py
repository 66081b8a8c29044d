"""What came of a trajectory, in a few classes: which failures teach is asked by these.

A success has a G of 1 (an environment's own success may be less: any purchase). What ended by its
own doing below that is a near miss from ``NEAR`` on, else it ended low; the rest is told apart by
its ending. Where scores are 0 or 1 there are no near misses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import (
    CONTEXT_OVERFLOW,
    DONE,
    STEP_LIMIT,
    UNPARSABLE,
    Rollouts,
    Trajectory,
)

SUCCESS, NEAR_MISS, LOW = "success", "near miss", "low score"
STRATA = (SUCCESS, NEAR_MISS, LOW, STEP_LIMIT, CONTEXT_OVERFLOW, UNPARSABLE)
NEAR = 0.5
"""The G from which on a trajectory that ended by itself is a near miss (ours)."""
NONE = "none"
GROUPS: Mapping[str, Collection[str]] = {
    NONE: (),
    "successes": (SUCCESS,),
    "near-misses": (NEAR_MISS,),
    "low-scores": (LOW,),
    "unfinished": (STEP_LIMIT, CONTEXT_OVERFLOW, UNPARSABLE),
    STEP_LIMIT: (STEP_LIMIT,),
    CONTEXT_OVERFLOW: (CONTEXT_OVERFLOW,),
    UNPARSABLE: (UNPARSABLE,),
}
"""What can be left out by one name → the strata that are."""
_PERFECT = 1.0 - 1e-9


def stratum(trajectory: Trajectory) -> str:
    """One of ``STRATA``; empty for a trajectory without a score."""
    if not trajectory.counted or trajectory.score is None:
        return ""
    if trajectory.score >= _PERFECT:
        return SUCCESS
    if trajectory.end != DONE:
        return trajectory.end
    return NEAR_MISS if trajectory.score >= NEAR else LOW


def left_out(rollouts: Rollouts, group: str) -> Sequence[bool]:
    """Whether each trajectory belongs to the group of this name.

    Raises InputError for a name that is none.
    """
    if group not in GROUPS:
        raise InputError(f"there is no stratum '{group}'; there are {', '.join(GROUPS)}")
    return [stratum(trajectory) in GROUPS[group] for trajectory in rollouts.trajectories]


def without(rollouts: Rollouts, marked: Sequence[bool]) -> Rollouts:
    """The rollouts as if the marked trajectories had not been explored: without their scores.

    They keep their places, which pairs refer to, and take no part in anything that is counted.
    """
    trajectories = [
        replace(trajectory, score=None) if mark else trajectory
        for trajectory, mark in zip(rollouts.trajectories, marked, strict=True)
    ]
    return replace(rollouts, trajectories=trajectories)
