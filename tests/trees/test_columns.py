"""Trajectories taken out of columns, and columns put together, keep every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tratree_cli.trees.columns import NO_THOUGHT, Columns, columns_from_lists, joined_columns

COLUMNS = columns_from_lists(
    ["a", "b", "a", "c"],
    [[(0, 1), (2, 3)], [], [(4, 5), (6, -1), (7, 8)], [(9, 1)]],
    [1.0, None, 0.25, 0.0],
    thoughts=[[5, -1], [], [6, 7, 8], [-1]],
    outputs=[[10, 11], [], [12, 13, 14], [15]],
    valid=[[True, False], [], [True, True, False], [True]],
    end=[0, 3, 1, 1],
)


def trajectories(columns: Columns) -> list[dict[str, Any]]:
    """Everything that columns say, trajectory by trajectory."""
    return [
        {
            "task": columns.tasks[columns.task[number]],
            **{
                name: getattr(columns, name)[columns.span(number)].tolist()
                for name in ("observations", "thoughts", "actions", "outputs", "valid")
            },
            **{
                name: getattr(columns, name)[number].item()
                for name in ("score", "success", "end", "counted")
            },
        }
        for number in range(len(columns))
    ]


def test_columns_say_of_every_trajectory_what_the_lists_said() -> None:
    first, broken, *_ = trajectories(COLUMNS)
    assert first == {
        "task": "a", "observations": [0, 2], "thoughts": [5, -1], "actions": [1, 3],
        "outputs": [10, 11], "valid": [True, False], "score": 1.0, "success": True, "end": 0,
        "counted": True,
    }  # fmt: skip
    assert (broken["task"], broken["counted"], broken["end"]) == ("b", False, 3)
    assert np.isnan(broken["score"])
    assert COLUMNS.steps == 6
    assert COLUMNS.lengths.tolist() == [2, 0, 3, 1]


def test_an_output_that_was_not_parsed_had_no_effect_whatever_is_said() -> None:
    assert trajectories(COLUMNS)[2]["valid"] == [True, False, False]


def test_what_lists_leave_out_has_a_default() -> None:
    plain = columns_from_lists(["a", "a"], [[(0, 1)], [(0, 2)]], [1.0, 0.5])
    unparsed = columns_from_lists(["a"], [[(0, 1), (0, -1)]], [1.0])
    assert plain.valid.tolist() == [True, True]
    assert unparsed.valid.tolist() == [True, False]
    assert plain.thoughts.tolist() == [NO_THOUGHT, NO_THOUGHT]
    assert plain.outputs.tolist() == plain.actions.tolist()
    assert plain.success.tolist() == [True, False]
    assert plain.end.tolist() == [0, 0]


@pytest.mark.parametrize("chosen", [[2, 0], [3, 3, 2], [0, 2, 3], [1], []])
def test_taken_trajectories_keep_their_steps_in_the_order_asked_for(chosen: list[int]) -> None:
    taken = trajectories(COLUMNS.take(np.array(chosen, dtype=np.int64)))
    whole = trajectories(COLUMNS)
    assert str(taken) == str([whole[number] for number in chosen])  # NaN is no equal of itself


def test_columns_put_together_are_their_trajectories_one_after_the_other() -> None:
    other = columns_from_lists(["c", "d", "a"], [[(1, 1)], [(2, 2)], []], [0.5, 1.0, None])
    joined = joined_columns([COLUMNS, other])
    assert str(trajectories(joined)) == str([*trajectories(COLUMNS), *trajectories(other)])
    assert joined.tasks == ("a", "b", "c", "d")
    assert len(joined_columns([])) == 0
