"""The shop's trees, checked by hand: nodes, sums, search, pairs and figures."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from tests.trees.making import SHOP
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.columns import columns_from_lists
from tratree_cli.trees.divergence_pairs import mine
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.pairs import GAP, PER_TASK, STOP
from tratree_cli.trees.search.api import best_observed, search
from tratree_cli.trees.search.ucb import ucb_rule
from tratree_cli.trees.statistics import forest_statistics
from tratree_cli.trees.trajectory_order import best_last
from tratree_cli.trees.trajectory_pairs import mine_whole

# The tree of "mug", breadth first (the crash counts nowhere):
#   0 root
#   1 search[mug]   2 search[cup]
#   3 click[red]    4 click[blue]    5 (no action)
#   6 buy (red)     7 back           8 buy (blue)
# and of "tie": 9 root, 10 search[tie], 11 buy.


@pytest.fixture(scope="module")
def forest() -> Forest:
    return build_forest(columns_from_rollouts(SHOP))


def actions(forest: Forest) -> list[str]:
    return [SHOP.texts[a] if a >= 0 else "" for a in forest.action.tolist()]


def test_nodes_stand_breadth_first_in_insertion_order(forest: Forest) -> None:
    assert forest.parent.tolist() == [-1, 0, 0, 1, 1, 2, 3, 3, 4, -1, 9, 10]
    assert forest.tree_offsets.tolist() == [0, 9, 12]
    assert actions(forest)[1:9] == [
        "search[mug]", "search[cup]", "click[red mug]", "click[blue mug]", "", "buy", "back", "buy",
    ]  # fmt: skip


def test_sums_count_every_scored_trajectory_and_no_crash(forest: Forest) -> None:
    assert forest.visits.tolist() == [5, 4, 1, 2, 1, 1, 1, 1, 1, 2, 2, 2]
    assert forest.reward_sum[:5].tolist() == [1.25, 1.25, 0.0, 1.0, 0.25]
    assert forest.endings.tolist() == [0, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 2]
    assert forest.total_reward[6] == 1.0
    assert forest.merges.uncounted == 1
    assert forest.path(5).tolist() == [-1, -1]


def test_thoughts_are_kept_with_counts(forest: Forest) -> None:
    found = [(SHOP.texts[t], n) for t, n in forest.thoughts_of(1)]
    assert sum(n for _, n in found) == 4


def test_the_thoughts_of_a_node_stand_by_number_and_then_by_first_appearance() -> None:
    steps = [[(0, 1)]] * 6
    columns = columns_from_lists(
        ["t"] * 6, steps, [1.0] * 6, thoughts=[[t] for t in (3, 9, 4, 9, 3, 2)]
    )
    assert build_forest(columns).thoughts_of(1) == [(3, 2), (9, 2), (4, 1), (2, 1)]


def test_a_thought_is_kept_where_there_was_one_and_nowhere_else(forest: Forest) -> None:
    columns = forest.columns
    for node in range(len(forest)):
        seen = Counter(
            int(columns.thoughts[step])
            for step in np.flatnonzero(forest.step_node == node)
            if columns.thoughts[step] >= 0
        )
        assert dict(forest.thoughts_of(node)) == dict(seen)
    assert (columns.thoughts < 0).any(), "an output without a thought"
    offsets, thought, count = forest.thoughts
    assert len(offsets) == len(forest) + 1
    assert offsets[-1] == len(thought) == len(count)


def test_ucb_is_what_hand_computation_gives(forest: Forest) -> None:
    # Root options of "mug": search[mug] and search[cup]. Below search[mug]: click[red] (buy 1.0,
    # back 0.0), click[blue] 0.25, and stopping 0.0, in insertion order red, blue, stop.
    # Rollouts 1 and 2 take the unvisited: red-buy 1.0, then cup 0.0. The third compares
    # 1 + 1.41 sqrt(log 2 / 1) with 0 + the same bonus, takes search[mug], then blue: 0.25.
    # Then (1.25 / 2) + 1.41 sqrt(log 3 / 2) = 1.670 against 0 + 1.41 sqrt(log 3) = 1.478.
    result = search(forest, rollouts=3)
    assert result.visits[:9].tolist() == [3, 2, 1, 1, 1, 1, 1, 0, 1]
    assert result.reward[:3].tolist() == [1.25, 1.25, 0.0]
    assert ucb_rule(4, gamma=1.41)([1.25 / 2, 0.0], [2, 1], 3) == 0
    assert ucb_rule(4, gamma=4.0)([1.25 / 2, 0.0], [2, 1], 3) == 1  # 2.85 + 0.63 against 4.19


def test_the_search_ends_at_the_recorded_success(forest: Forest) -> None:
    result = search(forest)
    assert result.best_trajectory.tolist() == [0, 6]
    assert result.best_path(0) == [1, 3, 6]
    assert best_observed(forest).tolist() == [0, 6]
    assert result.visits[0] == 100 and result.visits[9] == 100
    assert result.reward[9] == 50.0


def test_of_equal_trajectories_the_effective_then_the_shorter_then_the_first_is_the_best() -> None:
    # One task; all score 1. The first clicks in vain, the second looks at something on its way, the
    # third and the fourth are the shortest and the same.
    steps = [
        [(0, 1), (1, 9), (1, 2)],
        [(0, 1), (1, 3), (4, 5), (1, 2)],
        [(0, 1), (1, 2)],
        [(0, 1), (1, 2)],
        [(0, 1), (1, 6)],
    ]
    valid = [[True, False, True], [True] * 4, [True] * 2, [True] * 2, [True] * 2]
    columns = columns_from_lists(["t"] * 5, steps, [1.0, 1.0, 1.0, 1.0, 0.5], valid=valid)
    assert best_last(columns, np.arange(5)).tolist() == [4, 0, 1, 3, 2]
    forest = build_forest(columns)
    assert best_observed(forest).tolist() == [2]
    # The values of the three perfect branches are equal, so e* follows the better trajectory.
    result = search(forest)
    assert result.best_trajectory.tolist() == [2]
    assert search(forest, select="max").best_trajectory.tolist() == [2]


def test_a_higher_score_goes_before_fewer_steps() -> None:
    columns = columns_from_lists(
        ["t"] * 2, [[(0, 1)], [(0, 1), (1, 2)]], [0.5, 1.0], valid=[[True], [False, True]]
    )
    forest = build_forest(columns)
    assert best_observed(forest).tolist() == [1]
    assert search(forest).best_trajectory.tolist() == [1]


def test_pairs_part_where_one_state_was_answered_differently(forest: Forest) -> None:
    found = mine(forest, min_gap=0.1)
    # At the root 1.25/4 against 0 (gap 0.3125); after search[mug] red 0.5 against blue 0.25; after
    # red, buying 1.0 against going back 0.0.
    assert [(p.node, p.step, p.chosen, p.rejected) for p in found.pairs] == [
        (0, 0, 0, 3),
        (1, 1, 0, 1),
        (3, 2, 0, 2),
    ]
    assert [p.gap for p in found.pairs] == [0.3125, 0.25, 1.0]
    # Someone stopped after search[mug]: worse than red and blue, but there are no words for it.
    assert found.dropped == {STOP: 2}
    assert found.divergences == 3


def test_a_gap_that_is_not_exceeded_makes_no_pair(forest: Forest) -> None:
    found = mine(forest, min_gap=0.3125)
    assert [p.node for p in found.pairs] == [3]
    assert found.dropped[GAP] == 2


def test_limits_keep_the_widest_gaps(forest: Forest) -> None:
    found = mine(forest, min_gap=0.1, per_task=2)
    assert [p.gap for p in found.pairs] == [0.3125, 1.0]


def test_whole_trajectories_are_paired_by_reward_alone() -> None:
    found = mine_whole(columns_from_rollouts(SHOP), min_gap=0.1)
    assert len(found) == 4 + 3  # 1.0 over four others, 0.25 over three zeros
    assert all(p.step == 0 and p.gap > 0.1 for p in found.pairs)


def test_drawn_pairs_are_the_same_for_the_same_seed_and_all_are_accounted_for() -> None:
    columns = columns_from_rollouts(SHOP)
    drawn = [mine_whole(columns, min_gap=0.1, per_task=3, seed=seed) for seed in range(20)]
    assert drawn[4] == mine_whole(columns, min_gap=0.1, per_task=3, seed=4)
    everything = {(p.chosen, p.rejected) for p in mine_whole(columns, min_gap=0.1).pairs}
    assert {(p.chosen, p.rejected) for found in drawn for p in found.pairs} == everything
    for found in drawn:
        assert len(found) == 3
        assert len(found) + sum(found.dropped.values()) == 10 + 1  # pairs of the two tasks


def test_a_task_with_thousands_of_trajectories_is_drawn_from_without_listing_its_pairs() -> None:
    count = 20_000  # two hundred million pairs
    columns = columns_from_lists(
        ["t"] * count, [[(0, number)] for number in range(count)], [n % 5 / 4 for n in range(count)]
    )
    found = mine_whole(columns, per_task=10, seed=1)
    assert len(found) == 10 and len(set(found.pairs)) == 10
    assert found.dropped[PER_TASK] == 10 * (count // 5) ** 2 - 10


def test_statistics_follow_their_formulas(forest: Forest) -> None:
    found = forest_statistics(forest)
    assert (found.trees, found.trajectories, found.uncounted) == (2, 7, 1)
    assert found.steps == 3 + 3 + 3 + 2 + 1 + 2 + 2
    assert found.max_depth == 3
    assert found.divergences == 3
    assert found.divergent == pytest.approx(3 / 7)
    assert found.gap == pytest.approx((0.3125 + 0.25 + 1.0) / 3)
    assert found.informative_trees == 0.5
    assert found.quality[0] == "good"
    # Scores of "mug": 1, 0.25, 0, 0, 0.
    entropy = -(2 * 0.2 * math.log2(0.2) + 0.6 * math.log2(0.6))
    assert found.entropy == pytest.approx(entropy / 2)


def test_a_forest_that_only_failed_is_not_told_to_look_for_harder_tasks() -> None:
    columns = columns_from_lists(["t", "t"], [[(0, 1)], [(0, 2)]], [0.0, 0.0])
    level, advice = forest_statistics(build_forest(columns)).quality
    assert level == "empty" and "easier tasks" in advice


def test_every_counted_trajectory_reads_back_from_its_nodes(forest: Forest) -> None:
    columns = forest.columns
    for trajectory in range(len(columns)):
        if not columns.counted[trajectory]:
            continue
        path = forest.path(trajectory).tolist()
        root = int(forest.roots[columns.task[trajectory]])
        assert [forest.parent[b] for b in path] == [root, *path[:-1]]
        assert forest.action[path].tolist() == columns.actions[columns.span(trajectory)].tolist()
        assert all(a < b for a, b in pairwise(path))
