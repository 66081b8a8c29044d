"""The columns equal the method written plainly, on random trajectory sets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trees import reference
from tests.trees.worlds import cosine, similarity, trajectory_sets
from tratree_cli.trees.build import MergePolicy, build_forest
from tratree_cli.trees.columns import Columns
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.search import api
from tratree_cli.trees.search.api import SELECTIONS, search

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
    columns: Columns, rollouts: int, gamma: float, select: str, small: int, walks: int
) -> None:
    forest = build_forest(columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "_SMALL", small)  # each of the two ways of computing it, and both
        patch.setattr(api, "_MANY", 1)
        result = search(forest, rollouts, gamma, select, walks)
    for tree, root in enumerate(reference.build(columns)):
        if not root.visits:
            assert result.best_trajectory[tree] == -1
            continue
        leaf = reference.search(columns, root, rollouts, gamma, select, walks)
        for here, node in zip(forest.nodes(tree), reference.breadth_first(root), strict=True):
            assert result.visits[here] == node.count
            assert result.reward[here] == node.returned
            if node.stop is not None:
                assert result.stop_visits[here] == node.stop.count
                assert result.stop_reward[here] == node.stop.returned
        assert result.best_trajectory[tree] == reference.best_of(columns, leaf.trajectories)
