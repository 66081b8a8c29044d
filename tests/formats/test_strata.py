"""What came of trajectories, and leaving one kind of them out before pairs are mined."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.trees.making import made_rollouts
from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import CONTEXT_OVERFLOW, DONE, STEP_LIMIT, UNPARSABLE
from tratree_cli.formats.strata import (
    GROUPS,
    LOW,
    NEAR_MISS,
    STRATA,
    SUCCESS,
    left_out,
    stratum,
    without,
)
from tratree_cli.sections import LEFT_OUT

EPISODES = made_rollouts([("t", [("home", "buy")], 0.0)] * 7)
ROLLOUTS = replace(
    EPISODES,
    trajectories=[
        replace(EPISODES.trajectories[0], score=score, end=end)
        for score, end in (
            (1.0, DONE),
            (0.5, DONE),
            (0.4, DONE),
            (0.8, STEP_LIMIT),
            (0.0, CONTEXT_OVERFLOW),
            (0.0, UNPARSABLE),
            (None, "environment-error"),
        )
    ],
)


def test_every_trajectory_with_a_score_is_of_one_stratum() -> None:
    found = [stratum(trajectory) for trajectory in ROLLOUTS.trajectories]
    assert found == [SUCCESS, NEAR_MISS, LOW, STEP_LIMIT, CONTEXT_OVERFLOW, UNPARSABLE, ""]
    assert set(STRATA) == set(found) - {""}


@pytest.mark.parametrize(
    ("group", "places"),
    [
        ("none", []),
        ("successes", [0]),
        ("near-misses", [1]),
        ("low-scores", [2]),
        ("unfinished", [3, 4, 5]),
        ("step-limit", [3]),
        ("context-overflow", [4]),
        ("unparsable", [5]),
    ],
)
def test_a_group_leaves_out_its_strata(group: str, places: list[int]) -> None:
    marked = left_out(ROLLOUTS, group)
    assert [place for place, mark in enumerate(marked) if mark] == places
    kept = without(ROLLOUTS, marked)
    counted = [trajectory.counted for trajectory in kept.trajectories]
    assert [place for place in range(6) if not counted[place]] == places


def test_the_configuration_knows_the_same_groups() -> None:
    assert tuple(GROUPS) == LEFT_OUT


def test_an_unknown_group_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="there is no stratum 'misses'"):
        left_out(ROLLOUTS, "misses")
