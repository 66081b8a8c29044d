"""What must hold for any set of trajectories."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trees.worlds import similarity, trajectory_sets
from tratree_cli.trees.build import MergePolicy, build_forest
from tratree_cli.trees.columns import Columns
from tratree_cli.trees.divergence_pairs import mine
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.search.api import search
from tratree_cli.trees.statistics import forest_statistics
from tratree_cli.trees.trajectory_pairs import mine_whole

FEW = settings(max_examples=25, deadline=None)
POLICIES = st.sampled_from((MergePolicy(), MergePolicy("similar", 0.5)))


def grown(columns: Columns, policy: MergePolicy) -> Forest:
    return build_forest(columns, policy, similarity)


@FEW
@given(trajectory_sets(), POLICIES)
def test_rewards_and_visits_add_up(columns: Columns, policy: MergePolicy) -> None:
    forest = grown(columns, policy)
    total = columns.score[columns.counted].sum()  # dyadic scores: sums are exact
    assert forest.total_reward.sum() == total
    assert forest.reward_sum[forest.roots].sum() == total
    below = np.bincount(
        forest.parent[forest.parent >= 0],
        weights=forest.visits[forest.parent >= 0],
        minlength=len(forest),
    )
    assert np.array_equal(forest.visits, below + forest.endings)
    assert forest.visits[forest.roots].sum() == columns.counted.sum()


@FEW
@given(trajectory_sets(), POLICIES)
def test_every_trajectory_is_a_path_that_reads_back(columns: Columns, policy: MergePolicy) -> None:
    forest = grown(columns, policy)
    for trajectory in range(len(columns)):
        path = forest.path(trajectory)
        if not columns.counted[trajectory]:
            assert (path == -1).all() and forest.end_node[trajectory] == -1
            continue
        root = forest.roots[columns.task[trajectory]]
        assert forest.parent[path].tolist() == [root, *path.tolist()][:-1]
        span = columns.span(trajectory)
        assert np.array_equal(forest.action[path], columns.actions[span])
        if policy.kind == "exact":
            assert np.array_equal(forest.observation[path], columns.observations[span])
        assert forest.end_node[trajectory] == (path[-1] if len(path) else root)


@FEW
@given(trajectory_sets(), POLICIES)
def test_children_are_contiguous_and_parents_come_first(
    columns: Columns, policy: MergePolicy
) -> None:
    forest = grown(columns, policy)
    for node in range(len(forest)):
        children = list(forest.children(node))
        assert children == np.flatnonzero(forest.parent == node).tolist()
        assert all(child > node for child in children)
        first = forest.first[children]
        assert (np.diff(first) >= 0).all()


@FEW
@given(trajectory_sets())
def test_a_threshold_above_one_is_exact_matching(columns: Columns) -> None:
    exact = build_forest(columns)
    similar = build_forest(columns, MergePolicy("similar", 1.0000001), similarity)
    for column in fields(Forest):
        if column.name != "columns":
            assert np.array_equal(getattr(exact, column.name), getattr(similar, column.name))


@FEW
@given(trajectory_sets())
def test_a_threshold_of_minus_one_merges_every_equal_action(columns: Columns) -> None:
    forest = build_forest(columns, MergePolicy("similar", -1.0), similarity)
    siblings = list(zip(forest.parent.tolist(), forest.action.tolist(), strict=True))
    inner = [pair for pair in siblings if pair[0] >= 0]
    assert len(set(inner)) == len(inner)


@FEW
@given(trajectory_sets(), st.randoms(use_true_random=False))
def test_building_ignores_how_texts_are_numbered(columns: Columns, random) -> None:
    numbers = list(range(50))
    random.shuffle(numbers)
    new = np.array(numbers, dtype=np.int32)
    renamed = replace(
        columns,
        observations=new[columns.observations] if columns.steps else columns.observations,
        actions=np.where(columns.actions >= 0, new[columns.actions], -1),
    )
    one, other = build_forest(columns), build_forest(renamed)
    for name in ("parent", "visits", "reward_sum", "endings", "step_node", "state", "first"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


@FEW
@given(trajectory_sets(deterministic=True))
def test_a_deterministic_world_embeds_nothing(columns: Columns) -> None:
    def never(_: np.ndarray) -> np.ndarray:
        raise AssertionError("a text reached the embedder")

    forest = build_forest(columns, MergePolicy("similar", 0.9), never)
    assert forest.merges.embedded == forest.merges.by_similarity == 0


@FEW
@given(trajectory_sets())
def test_equal_texts_are_embedded_once_and_always_merge(columns: Columns) -> None:
    asked: list[int] = []

    def counting(numbers: np.ndarray) -> np.ndarray:
        asked.extend(numbers.tolist())
        return similarity(numbers)

    forest = build_forest(columns, MergePolicy("similar", 0.5), counting)
    assert len(asked) == len(set(asked)) == forest.merges.embedded
    made = forest.merges
    counted = int(columns.lengths[columns.counted].sum())
    assert made.created + made.by_equality + made.by_similarity == counted
    assert made.created == len(forest) - forest.trees
    below = np.flatnonzero(forest.parent >= 0)
    state = forest.state[below]
    assert (forest.parent[state] == forest.parent[below]).all()
    assert (forest.state[state] == state).all() and (state <= below).all()
    places: dict[tuple[int, int, int], int] = {}
    for step, node in enumerate(forest.step_node.tolist()):
        if node >= 0:
            key = (
                int(forest.parent[node]),
                int(columns.actions[step]),
                int(columns.observations[step]),
            )
            assert places.setdefault(key, node) == node


@FEW
@given(trajectory_sets(), st.sampled_from(("best-worst", "all", "adjacent")), st.integers(0, 3))
def test_pairs_prefer_the_better_under_one_state(
    columns: Columns, select: str, per_task: int
) -> None:
    forest = build_forest(columns)
    found = mine(forest, select=select, min_gap=0.1, per_task=per_task, seed=3)
    assert found == mine(forest, select=select, min_gap=0.1, per_task=per_task, seed=3)
    for pair in found.pairs:
        assert columns.score[pair.chosen] > columns.score[pair.rejected]
        assert pair.gap > 0.1
        one, other = forest.path(pair.chosen), forest.path(pair.rejected)
        assert np.array_equal(one[: pair.step], other[: pair.step])
        assert forest.state[one[pair.step]] == forest.state[other[pair.step]]
        assert forest.action[one[pair.step]] != forest.action[other[pair.step]]
    if per_task:
        tasks = [pair.task for pair in found.pairs]
        assert all(tasks.count(task) <= per_task for task in tasks)
    for pair in mine_whole(columns, min_gap=0.0, seed=1).pairs:
        assert columns.score[pair.chosen] > columns.score[pair.rejected]


@FEW
@given(trajectory_sets(), st.integers(1, 30))
def test_the_best_path_was_recorded(columns: Columns, rollouts: int) -> None:
    forest = build_forest(columns)
    result = search(forest, rollouts)
    for tree, best in enumerate(result.best_trajectory.tolist()):
        if best >= 0:
            assert columns.counted[best] and columns.task[best] == tree
            assert forest.end_node[best] == result.best_leaf[tree]
            assert result.best_path(tree) == forest.path(best).tolist()
            assert result.visits[forest.roots[tree]] == rollouts
    statistics = forest_statistics(forest)
    assert statistics.quality[0] in ("good", "thin", "empty")
    assert 0 <= statistics.divergent <= 1 and 0 <= statistics.informative_trees <= 1


def test_a_guard_keeps_texts_of_different_classes_apart() -> None:
    from tratree_cli.trees.columns import columns_from_lists

    columns = columns_from_lists(["t", "t"], [[(0, 1)], [(2, 1)]], [1.0, 0.0])
    alike = lambda numbers: np.ones((len(numbers), 1))  # noqa: E731
    policy = MergePolicy("similar", 0.9)
    assert len(build_forest(columns, policy, alike)) == 2
    guarded = MergePolicy("similar", 0.9, "numbers-equal")
    assert len(build_forest(columns, guarded, alike, lambda numbers: numbers)) == 3
    with pytest.raises(ValueError, match="guard"):
        build_forest(columns, guarded, alike)
    with pytest.raises(ValueError, match="similarity"):
        build_forest(columns, policy)


def test_different_actions_in_different_states_make_no_pair() -> None:
    from tratree_cli.trees.columns import columns_from_lists

    columns = columns_from_lists(["t", "t"], [[(0, 1)], [(2, 3)]], [1.0, 0.0])
    found = mine(build_forest(columns))
    assert not found.pairs and found.dropped == {"different states": 1}
    merged = build_forest(
        columns, MergePolicy("similar", 0.9), lambda numbers: np.ones((len(numbers), 1))
    )
    assert len(mine(merged)) == 1


def similar_states(scores: list[float], actions: list[int]) -> Columns:
    """One task; branch 0 sees a state that 1 and 2 are similar to, which are not alike."""
    from tratree_cli.trees.columns import columns_from_lists

    steps = [[(observation, action)] for observation, action in enumerate(actions)]
    return columns_from_lists(["t"] * len(actions), steps, scores)


def by_angle(numbers: Any) -> Any:
    """Texts 1 and 2 are 20 degrees to either side of text 0; every other one is text 0's twin."""
    angle = np.radians(np.array([0.0, -20.0, 20.0, 0.0])[numbers])
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


MERGED_BY_ANGLE = MergePolicy("similar", float(np.cos(np.radians(25))))


def test_best_and_worst_of_one_action_leave_the_widest_gap_among_different_actions() -> None:
    for middle, expected in ((0.6, (0, 2)), (0.3, (1, 0))):
        columns = similar_states([middle, 0.9, 0.1], actions=[7, 5, 5])
        forest = build_forest(columns, MERGED_BY_ANGLE, by_angle)
        assert len(set(forest.state[1:].tolist())) == 1 and len(forest) == 4
        found = mine(forest, select="best-worst", min_gap=0.1)
        assert [(pair.chosen, pair.rejected) for pair in found.pairs] == [expected]
        assert found.pairs[0].gap == max(pair.gap for pair in mine(forest, select="all").pairs)


def test_a_limit_per_node_counts_pairs_that_differ() -> None:
    # Branches 1 and 2 say the same words (action 5), so half of the pairs say a thing twice.
    columns = similar_states([0.5, 0.9, 0.9, 0.3], actions=[7, 5, 5, 8])
    forest = build_forest(columns, MERGED_BY_ANGLE, by_angle)
    found = mine(forest, select="all", per_node=2)
    assert [(pair.chosen, pair.rejected) for pair in found.pairs] == [(1, 0), (1, 3)]
    assert found.dropped["duplicate"] == 2 and found.dropped["over the limit per node"] == 1
