"""The columns equal the method written plainly, on random trajectory sets."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trees import reference
from tests.trees.worlds import cosine, similarity, trajectory_sets
from tratree_cli.trees.build import MergePolicy, build_forest
from tratree_cli.trees.columns import Columns, columns_from_lists
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.search import api, batched
from tratree_cli.trees.search.api import search
from tratree_cli.trees.search.node_statistics import SELECTIONS, Select

FEW = settings(max_examples=40, deadline=None)


def assert_same_trees(forest: Forest, roots: list[reference.Node]) -> None:
    for tree, root in enumerate(roots):
        nodes = reference.breadth_first(root)
        span = forest.nodes(tree)
        assert len(span) == len(nodes)
        number = {id(node): span.start + place for place, node in enumerate(nodes)}
        for node in nodes:
            here = number[id(node)]
            assert forest.parent[here] == (number[id(node.parent)] if node.parent else -1)
            assert forest.action[here] == node.action
            assert forest.observation[here] == node.observation
            assert forest.visits[here] == node.visits
            assert forest.endings[here] == node.endings
            assert forest.reward_sum[here] == pytest.approx(node.reward)
            assert forest.total_reward[here] == pytest.approx(node.total_reward)
            assert forest.first[here] == node.first
            assert list(forest.children(here)) == [number[id(c)] for c in node.children]


@FEW
@given(trajectory_sets())
def test_exact_building_equals_inserting_one_by_one(columns: Columns) -> None:
    assert_same_trees(build_forest(columns), reference.build(columns))


@FEW
@given(trajectory_sets(), st.sampled_from((0.3, 0.8, 0.95)))
def test_similar_building_equals_inserting_one_by_one(columns: Columns, threshold: float) -> None:
    forest = build_forest(columns, MergePolicy("similar", threshold), similarity)
    assert_same_trees(forest, reference.build(columns, cosine, threshold))


@FEW
@given(
    trajectory_sets(),
    st.integers(1, 60),
    st.sampled_from((0.0, 0.7, 1.41)),
    st.sampled_from(SELECTIONS),
    st.sampled_from((0, 4, 1000)),
    st.sampled_from((1, 1, 2, 3)),
)
def test_search_is_bit_equal_to_the_plain_search(
    columns: Columns, rollouts: int, gamma: float, select: Select, small: int, walks: int
) -> None:
    assert_same_search(columns, rollouts, gamma, select, small, walks)


Tree = float | tuple["Tree", ...]
"""A leaf's G, or options in the order of insertion."""


def all_trees(height: int, widths: tuple[int, ...]) -> list[Tree]:
    """Every tree of at most this height whose leaves return 0 or 1."""
    trees: list[Tree] = [0.0, 1.0]
    for _ in range(height):
        trees = [0.0, 1.0, *(made for width in widths for made in product(trees, repeat=width))]
    return trees


def columns_of(trees: list[Tree], stops: bool = False, again: float | None = None) -> Columns:
    """A task for each tree, trajectories in the order of its leaves.

    With ``stops`` the second option of a decision point, if it is a leaf, ends there. With
    ``again`` every leaf is reached by a second trajectory, which has that G.
    """
    tasks, steps, scores = [], [], []

    def insert(task: str, tree: Tree, walked: list[tuple[int, int]]) -> None:
        if isinstance(tree, float):
            for score in (tree,) if again is None else (tree, again):
                tasks.append(task)
                steps.append(walked)
                scores.append(score)
            return
        for action, option in enumerate(tree):
            ends_here = stops and action == 1 and isinstance(option, float)
            insert(task, option, walked if ends_here else [*walked, (0, action)])

    for number, tree in enumerate(trees):
        insert(f"task-{number}", tree, [])
    return columns_from_lists(tasks, steps, scores)


@pytest.mark.parametrize("small", [0, 1000], ids=["one by one", "together"])
@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize("select", SELECTIONS)
def test_all_small_trees_in_one_forest_are_searched_like_the_plain_search(
    select: Select, stops: bool, small: int
) -> None:
    """Many subtrees of one forest are equal, and many differ in one leaf only."""
    assert_same_search(columns_of(all_trees(2, (2, 3))[::5], stops), 13, 1.41, select, small)


@pytest.mark.parametrize("options", [1, 7, 100])
def test_trees_are_searched_alike_however_many_meet_in_a_block(
    options: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batched, "_BLOCK", options)
    assert_same_search(columns_of(all_trees(2, (2,)), stops=True), 9, 1.41, "max", 1000)


@pytest.mark.parametrize("small", [0, 1000], ids=["one by one", "together"])
def test_decision_points_of_any_width_are_searched_like_the_plain_search(small: int) -> None:
    """Up to four options, and more, share a layout; the rest of a shared one is never taken."""
    leaves = [0.0, 1.0, 0.5, 0.25, 0.0, 0.75, 1.0, 0.125, 0.5]
    flat: list[Tree] = [tuple(leaves[:width]) for width in range(2, 10)]
    nested: list[Tree] = [(0.5, tree, 0.25) for tree in flat] + [(tree, 1.0) for tree in flat]
    uneven: list[Tree] = [(flat[5], flat[0], flat[3], 0.0, flat[7]), (nested[6], nested[9])]
    assert_same_search(columns_of(flat + nested + uneven), 40, 1.41, "mean", small)
    assert_same_search(columns_of([*nested, *uneven], stops=True), 40, 0.3, "max", small)
    assert_same_search(columns_of([*flat, *uneven], True, again=0.625), 40, 0.5, "mean", small)


@pytest.mark.parametrize("small", [0, 1000], ids=["one by one", "together"])
def test_a_tree_without_trajectories_is_not_searched(small: int) -> None:
    steps = [[(0, 1)], [(0, 1)], [(0, 2)]]
    columns = columns_from_lists(["empty", "t", "t"], steps, [None, 1.0, 0.5])
    assert_same_search(columns, 7, 1.41, "mean", small)


def test_a_deep_tree_is_searched_like_the_plain_search_with_as_many_rollouts_as_meet() -> None:
    """Counts of 33 heights and 1,000 rollouts need more than 16 bits."""
    comb: Tree = (0.25, 0.5)
    for height in range(32):
        comb = (0.5 + height / 100, comb)
    assert_same_search(columns_of([comb]), 1000, 1.41, "mean", 1000)


def assert_same_search(
    columns: Columns, rollouts: int, gamma: float, select: Select, small: int, walks: int = 1
) -> None:
    """Trees of up to ``small`` trajectories are searched together, the others one by one."""
    forest = build_forest(columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "_SMALL", small)
        patch.setattr(api, "_MANY", 1)
        result = search(forest, rollouts, gamma, select, walks)
    for tree, root in enumerate(reference.build(columns)):
        if not root.visits:
            assert result.best_leaf[tree] == result.best_trajectory[tree] == -1
            assert result.visits[forest.roots[tree]] == result.reward[forest.roots[tree]] == 0
            continue
        leaf = reference.search(columns, root, rollouts, gamma, select, walks)
        for here, node in zip(forest.nodes(tree), reference.breadth_first(root), strict=True):
            assert result.visits[here] == node.count
            assert result.reward[here] == node.returned
            if node.stop is not None:
                assert result.stop_visits[here] == node.stop.count
                assert result.stop_reward[here] == node.stop.returned
        assert result.best_trajectory[tree] == reference.best_of(columns, leaf.trajectories)
