"""How often e* is another trajectory than the best observed one, and why."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from tests.trees.worlds import trajectory_sets
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.columns import Columns, columns_from_lists
from tratree_cli.trees.search.api import best_observed, search
from tratree_cli.trees.search.comparison import PathComparison, compared_with_best

LUCKY = [[(0, 1)], [(0, 1)], [(0, 2)], [(0, 2)]]
"""Two actions, each tried twice: the first scored 1.0 and 0.2, the second 0.8 both times."""


def test_under_noise_the_search_goes_by_the_mean_and_the_best_observed_by_luck() -> None:
    forest = build_forest(columns_from_lists(["t"] * 4, LUCKY, [1.0, 0.2, 0.8, 0.8]))
    found = search(forest)
    assert best_observed(forest).tolist() == [0]
    assert found.best_trajectory.tolist() == [2]
    assert compared_with_best(found) == PathComparison(trees=1, below=1, other_words=1, uneven=1)


def test_a_leaf_that_was_walked_once_may_be_kept_from_being_lucky() -> None:
    # The first action was tried three times and is worth 0.9, the second once and scored 1.0.
    steps = [[(0, 1)], [(0, 1)], [(0, 1)], [(0, 2)], [(0, 3)]]
    scores = [0.9, 1.0, 0.8, 1.0, 0.1]
    forest = build_forest(columns_from_lists(["t"] * 5, steps, scores))
    assert search(forest).best_trajectory.tolist() == [3]
    # Of the trajectories at its leaf e* is rendered from the best.
    assert search(forest, min_walks=2).best_trajectory.tolist() == [1]
    assert search(forest, min_walks=3).best_trajectory.tolist() == [1]
    # No leaf was walked four times: the best observed trajectory, of equal ones the first.
    assert search(forest, min_walks=4).best_trajectory.tolist() == [1]
    assert search(forest, min_walks=2).visits.tolist() == search(forest).visits.tolist()


def test_a_search_too_short_to_meet_a_walked_leaf_gives_the_best_observed() -> None:
    columns = columns_from_lists(["t"] * 3, [[(0, 2)], [(0, 1)], [(0, 1)]], [0.4, 0.9, 0.8])
    found = search(build_forest(columns), rollouts=1, min_walks=2)
    assert found.best_trajectory.tolist() == [1]
    columns = columns_from_lists(["t"] * 3, [[(0, 2)], [(0, 1)], [(0, 1)]], [0.9, 0.8, 0.7])
    found = search(build_forest(columns), rollouts=1, min_walks=2)
    assert found.best_trajectory.tolist() == [0]


def test_leaves_of_one_score_leave_nothing_to_average() -> None:
    forest = build_forest(columns_from_lists(["t"] * 4, LUCKY, [1.0, 1.0, 0.8, 0.8]))
    assert compared_with_best(search(forest)) == PathComparison(1, 0, 0, 0)


def test_trajectories_of_equal_words_are_no_difference() -> None:
    # One observation differs, so there are two leaves; what the agent says is the same.
    steps = [[(0, 1), (3, 2)], [(0, 1), (4, 2)]]
    columns = columns_from_lists(["t"] * 2, steps, [0.5, 0.5])
    assert compared_with_best(search(build_forest(columns))).other_words == 0


def test_a_tree_without_trajectories_is_not_counted() -> None:
    columns = columns_from_lists(["t", "u"], [[(0, 1)], [(0, 1)]], [1.0, None])
    assert compared_with_best(search(build_forest(columns))) == PathComparison(1, 0, 0, 0)


@settings(max_examples=40, deadline=None)
@given(trajectory_sets())
def test_counts_are_those_of_looking_at_every_tree(columns: Columns) -> None:
    forest = build_forest(columns)
    found, best = search(forest).best_trajectory, best_observed(forest)
    lower = words = 0
    for one, two in zip(found.tolist(), best.tolist(), strict=True):
        if one >= 0:
            lower += columns.score[one] < columns.score[two]
            outputs = [columns.outputs[columns.span(t)].tolist() for t in (one, two)]
            words += outputs[0] != outputs[1]
    counted = compared_with_best(search(forest))
    assert (counted.below, counted.other_words) == (lower, words)


def test_where_every_leaf_has_one_score_the_highest_return_is_the_best_observed() -> None:
    draw = np.random.default_rng(0)
    value = draw.random((3, 3))
    steps = [[(0, int(draw.integers(3))), (1, int(draw.integers(3)))] for _ in range(60)]
    scores = [float(value[one, two]) for (_, one), (_, two) in steps]
    columns = columns_from_lists([f"t{i // 6}" for i in range(60)], steps, scores)
    found = search(build_forest(columns), select="max")
    assert compared_with_best(found) == PathComparison(10, 0, 0, 0)
