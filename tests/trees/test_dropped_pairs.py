"""Whatever could have been a pair and is not is counted, once, under its reason."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import pytest

from tratree_cli.trees.build import MergePolicy, build_forest
from tratree_cli.trees.columns import Columns, columns_from_lists
from tratree_cli.trees.divergence_pairs import mine
from tratree_cli.trees.pairs import (
    GAP,
    IDENTICAL,
    NO_EFFECT,
    OTHER_STATE,
    PER_NODE,
    PER_TASK,
    SAME_ACTION,
    SILENT,
    STOP,
)
from tratree_cli.trees.trajectory_pairs import mine_whole


def branches(*actions: int, scores: list[float]) -> Columns:
    """One task whose trajectories answer one state with these actions."""
    return columns_from_lists(["t"] * len(actions), [[(0, a)] for a in actions], scores)


def alike(numbers: Any) -> Any:
    return np.ones((len(numbers), 1))


@pytest.mark.parametrize(("select", "pairs"), [("all", 6), ("adjacent", 3), ("best-worst", 1)])
def test_each_selection_makes_so_many_pairs_of_four_branches(select: Any, pairs: int) -> None:
    columns = branches(1, 2, 3, 4, scores=[1.0, 0.6, 0.3, 0.0])
    found = mine(build_forest(columns), select=select, min_gap=0.1)
    assert (len(found), found.dropped, found.divergences) == (pairs, {}, 1)


def test_a_gap_as_wide_as_the_least_makes_no_pair_and_is_counted() -> None:
    forest = build_forest(branches(1, 2, 3, scores=[1.0, 0.5, 0.0]))
    found = mine(forest, select="all", min_gap=0.5)
    assert [(p.chosen, p.rejected) for p in found.pairs] == [(0, 2)]
    assert found.dropped == {GAP: 2}


def test_branches_in_different_states_are_counted_as_pairs_of_children() -> None:
    # Two children in each of two states: 6 pairs of children, of which 2 lie within a state.
    columns = columns_from_lists(
        ["t"] * 4, [[(0, 1)], [(0, 2)], [(5, 1)], [(5, 2)]], [1.0, 0.0, 1.0, 0.0]
    )
    found = mine(build_forest(columns), select="all")
    assert len(found) == 1, "the second state says the same words"
    assert found.dropped[OTHER_STATE] == comb(4, 2) - 2
    assert found.divergences == 2


def test_states_with_one_child_each_have_nothing_dropped_within() -> None:
    columns = columns_from_lists(["t"] * 3, [[(0, 1)], [(5, 1)], [(6, 1)]], [1.0, 0.5, 0.0])
    found = mine(build_forest(columns))
    assert (len(found), found.dropped, found.divergences) == (0, {OTHER_STATE: 3}, 0)


def test_children_of_one_action_in_one_merged_state_are_counted_as_the_same_action() -> None:
    # 20 degrees apart from text 0 on both sides: 1 and 2 are similar to 0 and not to each other.
    angles = np.radians(np.array([0.0, -20.0, 20.0]))

    def by_angle(numbers: Any) -> Any:
        return np.stack([np.cos(angles[numbers]), np.sin(angles[numbers])], axis=1)

    policy = MergePolicy("similar", float(np.cos(np.radians(25))))
    columns = columns_from_lists(["t"] * 3, [[(0, 7)], [(1, 5)], [(2, 5)]], [0.5, 1.0, 0.0])
    found = mine(build_forest(columns, policy, by_angle), select="all")
    assert len(found) == 2
    assert found.dropped == {SAME_ACTION: 1}
    assert all(type(count) is int for count in found.dropped.values())


def test_a_stop_is_counted_once_for_each_branch_that_it_differs_from() -> None:
    # After action 1 one trajectory stops with 0.5; the branches are worth 1.0, 0.5 and 0.0.
    columns = columns_from_lists(
        ["t"] * 4,
        [[(0, 1)], [(0, 1), (2, 3)], [(0, 1), (2, 4)], [(0, 1), (2, 5)]],
        [0.5, 1.0, 0.5, 0.0],
    )
    found = mine(build_forest(columns), select="all", min_gap=0.1)
    assert found.dropped[STOP] == 2
    assert STOP not in mine(build_forest(columns), select="all", min_gap=0.5).dropped


def test_a_stop_is_worth_the_mean_of_those_that_ended_there() -> None:
    # Two stop with 0.25 and 0.75; the branches are worth 1.0, 0.5 and 0.0.
    columns = columns_from_lists(
        ["t"] * 5,
        [[(0, 1)], [(0, 1)], [(0, 1), (2, 3)], [(0, 1), (2, 4)], [(0, 1), (2, 5)]],
        [0.25, 0.75, 1.0, 0.5, 0.0],
    )
    assert mine(build_forest(columns), select="all", min_gap=0.1).dropped[STOP] == 2


def test_limits_drop_the_rest_and_say_how_many() -> None:
    columns = branches(1, 2, 3, 4, scores=[1.0, 0.6, 0.3, 0.0])
    forest = build_forest(columns)
    by_node = mine(forest, select="all", min_gap=0.0, per_node=2)
    by_task = mine(forest, select="all", min_gap=0.0, per_task=4)
    assert [p.gap for p in by_node.pairs] == pytest.approx([0.7, 1.0])  # in their old order
    assert (by_node.dropped, by_task.dropped) == ({PER_NODE: 4}, {PER_TASK: 2})
    assert len(mine(forest, select="all", min_gap=0.0, per_node=6)) == 6


def test_a_pair_says_how_many_trajectories_its_means_are_over() -> None:
    columns = branches(1, 1, 1, 2, 2, scores=[1.0, 1.0, 0.0, 0.0, 0.25])
    (pair,) = mine(build_forest(columns)).pairs
    assert (pair.chosen_visits, pair.rejected_visits) == (3, 2)
    assert (pair.chosen_value, pair.rejected_value) == pytest.approx((2 / 3, 0.125))
    # Of equally good ones the first inserted is taken, and the worst of the worse branch.
    assert (pair.chosen, pair.rejected) == (0, 3)


def test_equal_continuations_of_different_beginnings_are_two_pairs() -> None:
    columns = columns_from_lists(
        ["t"] * 4,
        [[(0, first), (5, last)] for first in (1, 4) for last in (2, 3)],
        [1.0, 0.0, 1.0, 0.0],
    )
    found = mine(build_forest(columns))
    assert [(pair.chosen, pair.rejected) for pair in found.pairs] == [(0, 1), (2, 3)]


def test_a_horizon_that_leaves_the_same_words_makes_no_pair() -> None:
    one, other = [(0, 1), (2, 3)], [(0, 1), (2, 4)]
    columns = columns_from_lists(["t", "t"], [one, other], [1.0, 0.0])
    found = mine_whole(columns, horizons=[1])
    assert (len(found), found.dropped) == (0, {IDENTICAL: 1})
    assert len(mine_whole(columns, horizons=[2])) == 1


def test_a_trajectory_without_a_step_has_no_words() -> None:
    columns = columns_from_lists(["t", "t"], [[(0, 1)], []], [1.0, 0.0])
    found = mine_whole(columns)
    assert (len(found), found.dropped) == (0, {SILENT: 1})


def test_trajectories_that_differ_in_what_was_observed_on_the_way_are_different_pairs() -> None:
    steps = [[(0, 1), (2, 3)], [(0, 1), (4, 3)], [(0, 5)]]
    found = mine_whole(columns_from_lists(["t"] * 3, steps, [1.0, 1.0, 0.0]))
    assert [(pair.chosen, pair.rejected) for pair in found.pairs] == [(0, 2), (1, 2)]


def test_a_branch_that_nothing_stands_for_is_counted_where_it_differs_by_more_than_the_gap() -> (
    None
):
    columns = columns_from_lists(
        ["t"] * 2, [[(0, 1)], [(0, 2)]], [1.0, 0.5], valid=[[True], [False]]
    )
    forest = build_forest(columns)
    assert mine(forest, min_gap=0.25).dropped == {NO_EFFECT: 1}
    assert mine(forest, min_gap=0.5).dropped == {}


def test_tasks_with_one_trajectory_are_no_divergences_of_whole_trajectories() -> None:
    columns = columns_from_lists(["a", "b", "b"], [[(0, 1)], [(0, 1)], [(0, 2)]], [1.0, 1.0, 0.0])
    found = mine_whole(columns)
    assert (found.divergences, len(found), found.demonstrated) == (1, 1, False)


def test_demonstrations_are_preferred_to_every_lower_exploration_of_their_task() -> None:
    own = columns_from_lists(
        ["a", "a", "b", "c"], [[(0, 1)], [(0, 2)], [(0, 3)], [(0, 4)]], [0.0, 1.0, 0.5, 0.0]
    )
    demos = columns_from_lists(["b", "a"], [[(0, 8)], [(0, 9)]], [1.0, 1.0])
    found = mine_whole(own, demos=demos)
    pairs = [(own.tasks[p.task], p.chosen, p.rejected) for p in found.pairs]
    assert pairs == [("a", 1, 0), ("b", 0, 2)]
    assert found.demonstrated
    assert found.divergences == 2, "nobody demonstrated task c"
    assert found.dropped == {GAP: 1}


def test_an_unknown_selection_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="best-worst, all, adjacent"):
        mine(build_forest(branches(1, 2, scores=[1.0, 0.0])), select="best")  # type: ignore[arg-type]


def test_a_node_has_a_stop_where_some_ended_and_others_went_on_and_only_there() -> None:
    columns = columns_from_lists(["t"] * 2, [[(0, 1)], [(0, 1), (2, 3)]], [0.5, 1.0])
    forest = build_forest(columns)
    assert forest.has_stop.tolist() == [False, True, False], "root, where one stopped, a leaf"
