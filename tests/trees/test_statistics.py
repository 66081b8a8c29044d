"""What a forest is said to be like, checked by hand, and keys of several columns in one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trees.making import SHOP
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.columns import Columns, columns_from_lists
from tratree_cli.trees.group_steps import combine
from tratree_cli.trees.search.api import search
from tratree_cli.trees.statistics import forest_statistics, outcome_entropy, tree_informativeness


def test_every_figure_of_the_golden_forest_is_what_hand_computation_gives() -> None:
    found = forest_statistics(build_forest(columns_from_rollouts(SHOP)))
    assert (found.trees, found.grown, found.nodes, found.inner_nodes) == (2, 2, 12, 7)
    assert found.compression == 16 / 10
    assert found.children_by_depth == (3 / 2, 4 / 3, 3 / 2)
    assert found.paths_per_tree == 6 / 2
    assert found.mean_depth == 16 / 7
    assert found.success_rate == found.ended == 1 / 7
    assert found.mean_score == 2.25 / 7
    assert found.best_score == (1.0 + 0.5) / 2


def test_tasks_without_a_counted_trajectory_are_trees_that_did_not_grow() -> None:
    columns = columns_from_lists(["a", "b", "b"], [[(0, 1)], [(0, 1)], [(0, 2)]], [None, 1.0, 0.5])
    found = forest_statistics(build_forest(columns))
    assert (found.trees, found.grown, found.trajectories, found.uncounted) == (2, 1, 2, 1)
    assert found.paths_per_tree == 2.0
    assert found.best_score == found.entropy == found.informative_trees == 1.0


def test_every_figure_of_an_empty_forest_is_zero() -> None:
    found = forest_statistics(build_forest(columns_from_lists([], [], [])))
    assert found.compression == found.mean_depth == found.divergent == found.entropy == 0.0
    assert found.children_by_depth == ()
    assert found.quality[0] == "empty"


def tasks(*scores: tuple[float | None, ...]) -> Columns:
    """A task for each tuple; its trajectories have one step each, and all differ."""
    flat = [
        (f"t{number}", [(0, sample)], score)
        for number, of_task in enumerate(scores)
        for sample, score in enumerate(of_task)
    ]
    names, steps, outcomes = zip(*flat, strict=True)
    return columns_from_lists(names, steps, outcomes)


@pytest.mark.parametrize(
    ("columns", "level", "words"),
    [
        (tasks((None,)), "empty", "no trajectory has a score"),
        (tasks((1.0,), (0.0,)), "empty", "one trajectory per task"),
        (columns_from_lists(["t", "t"], [[(0, 1)]] * 2, [1.0, 0.0]), "empty", "agree"),
        (tasks((0.0, 0.0)), "empty", "easier tasks"),
        (tasks((0.5, 0.5)), "empty", "harder tasks"),
        (tasks((0.5, 1.0), *[(1.0, 1.0)] * 3), "thin", "only 25% of the trees"),
        (tasks(*[(0.5, 1.0)] * 3, *[(1.0, 1.0)] * 7), "good", "in 30% of the trees"),
    ],
)
def test_one_sentence_says_whether_a_forest_is_worth_training_on(
    columns: Columns, level: str, words: str
) -> None:
    found = forest_statistics(build_forest(columns)).quality
    assert found[0] == level
    assert words in found[1]


def test_informativeness_and_entropy_are_given_for_each_tree() -> None:
    forest = build_forest(tasks((0.0, 0.25, 1.0, 1.0), (0.5, 0.5), (0.0, 0.5)))
    assert tree_informativeness(forest).tolist() == [1.0, 0.0, 0.5]
    assert outcome_entropy(forest).tolist() == [1.5, 0.0, 1.0]


def test_informativeness_among_some_nodes_leaves_the_others_out() -> None:
    forest = build_forest(tasks((0.0, 0.5, 1.0)))
    for kept, gap in (([0, 1, 2], 0.5), ([1, 2, 3], 1.0), ([0, 3], 0.0), ([0], 0.0)):
        among = np.isin(np.arange(len(forest)), kept)
        assert tree_informativeness(forest, among).tolist() == [gap]


def test_a_node_that_no_rollout_reached_has_no_mean_and_one_that_one_reached_has() -> None:
    result = search(build_forest(tasks((1.0, 0.5, 0.25))), rollouts=2)
    assert result.mean.tolist() == pytest.approx([0.75, 1.0, 0.5, np.nan], nan_ok=True)


NUMBERS = st.sampled_from((-2, -1, 0, 1, 2, 1 << 31, 1 << 40, (1 << 40) + 1, (1 << 59) - 1))


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(1, 8))
def test_one_key_stands_for_several_whatever_their_size(
    data: st.DataObject, columns: int, rows: int
) -> None:
    drawn = [data.draw(st.lists(NUMBERS, min_size=rows, max_size=rows)) for _ in range(columns)]
    key = combine(*(np.array(column, dtype=np.int64) for column in drawn)).tolist()
    row = list(zip(*drawn, strict=True))
    for one in range(rows):
        for other in range(rows):
            assert (key[one] == key[other]) == (row[one] == row[other])


def test_columns_of_large_numbers_keep_rows_apart_however_many_there_are() -> None:
    large = np.array([(1 << 40) + 1, (1 << 40)], dtype=np.int64)
    same = np.full(2, 1 << 40, dtype=np.int64)
    for keys in ([same, same, same, large], [same, same, large, same], [large] * 6):
        assert len(set(combine(*keys).tolist())) == 2
    assert len(set(combine(*[same] * 6).tolist())) == 1
    # As wide as 2^40 each: products of both would be a multiple of 2^64.
    wide, none = np.full(2, (1 << 40) - 3, dtype=np.int64), np.zeros(2, dtype=np.int64)
    assert len(set(combine(none, np.array([0, 1]), wide, wide).tolist())) == 2
