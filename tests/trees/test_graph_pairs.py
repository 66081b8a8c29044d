"""Pairs at the states of a graph, by hand: across histories, never against the recorded ends."""

from __future__ import annotations

from typing import Any

from tratree_cli.trees.build import build_forest
from tratree_cli.trees.columns import Columns, columns_from_lists
from tratree_cli.trees.graph_pairs import OTHER_OUTCOME, SAME_TRAJECTORY, mine_graph
from tratree_cli.trees.join_states import build_state_graph
from tratree_cli.trees.mirror_pairs import with_mirrors
from tratree_cli.trees.pairs import LOW_CHOSEN, NO_EFFECT, PairSet

HOME, RESULTS, ITEM = 0, 1, 2
SEARCH, BLUE, BUY, BACK, RED = 10, 11, 12, 13, 14


def mined(columns: Columns, **parameters: Any) -> PairSet:
    return mine_graph(build_state_graph(columns), build_forest(columns), **parameters)


def test_two_histories_that_meet_in_a_state_make_a_pair_there() -> None:
    columns = columns_from_lists(
        ["t"] * 2,
        [
            [(HOME, SEARCH), (RESULTS, BACK), (HOME, BLUE), (RESULTS, BUY)],
            [(HOME, BLUE), (RESULTS, RED), (ITEM, BUY)],
        ],
        [1.0, 0.0],
    )
    (pair,) = [pair for pair in mined(columns, select="all").pairs if pair.step == 3]
    assert (pair.chosen, pair.step) == (0, 3)
    assert (pair.rejected, pair.rejected_place) == (1, 1), "its own turn, after another history"


def test_the_last_visit_of_a_state_is_what_stands_for_it() -> None:
    columns = columns_from_lists(
        ["t"] * 2,
        [
            [(HOME, SEARCH), (RESULTS, BACK), (HOME, SEARCH), (RESULTS, BUY)],
            [(HOME, BLUE), (ITEM, BUY)],
        ],
        [1.0, 0.0],
    )
    (pair,) = mined(columns, horizons=[0]).pairs
    assert (pair.chosen, pair.step, pair.rejected, pair.rejected_step) == (0, 2, 1, 0)


def test_turns_of_one_trajectory_make_a_pair_only_where_the_rejected_side_ends_before() -> None:
    columns = columns_from_lists(
        ["t"] * 2,
        [
            [(HOME, SEARCH), (RESULTS, BACK), (HOME, SEARCH), (RESULTS, BUY)],
            [(HOME, BLUE), (ITEM, BUY)],
        ],
        [1.0, 0.0],
    )
    whole = mined(columns, select="all", min_gap=0.0)
    assert whole.dropped[SAME_TRAJECTORY] == 1
    cut = mined(columns, select="all", min_gap=0.0, horizons=[1])
    found = [(p.chosen, p.step, p.rejected, p.rejected_step) for p in cut.pairs]
    assert (0, 3, 0, 1) in found, "buying rather than going back, in one trajectory"


def test_a_pair_whose_recorded_ends_say_otherwise_is_dropped() -> None:
    # BLUE looks good because its page once was left for a success; RED was only unlucky so far.
    columns = columns_from_lists(
        ["t"] * 4,
        [
            [(HOME, BLUE), (RESULTS, RED)],
            [(ITEM, SEARCH), (RESULTS, BUY)],
            [(ITEM, SEARCH), (RESULTS, BUY)],
            [(HOME, RED)],
        ],
        [0.0, 1.0, 1.0, 0.4],
    )
    found = mined(columns)
    assert found.dropped[OTHER_OUTCOME] == 1
    assert all(columns.score[p.chosen] >= columns.score[p.rejected] for p in found.pairs)


def test_by_distance_the_shorter_way_is_preferred_at_equal_outcome() -> None:
    columns = columns_from_lists(
        ["t"] * 2,
        [[(HOME, BLUE), (ITEM, BUY)], [(HOME, SEARCH), (RESULTS, RED), (ITEM, BUY)]],
        [1.0, 1.0],
    )
    assert not mined(columns).pairs
    (pair,) = mined(columns, by="distance").pairs
    assert (pair.chosen, pair.rejected) == (0, 1)
    assert (round(pair.chosen_value, 3), round(pair.rejected_value, 3)) == (0.64, 0.512)


def test_an_action_without_effect_makes_no_pair_unless_it_is_kept() -> None:
    columns = columns_from_lists(
        ["t"] * 2,
        [[(HOME, BUY)], [(HOME, RED)]],
        [1.0, 0.0],
        valid=[[True], [False]],
    )
    found = mined(columns)
    assert (len(found), found.dropped) == (0, {NO_EFFECT: 1})
    assert len(mined(columns, keep_invalid=True)) == 1


def test_limits_and_the_least_score_of_the_chosen_side_hold_as_in_trees() -> None:
    columns = columns_from_lists(
        ["t"] * 3, [[(HOME, BUY)], [(HOME, RED)], [(HOME, BLUE)]], [0.8, 0.4, 0.0]
    )
    assert len(mined(columns, select="all")) == 3
    assert len(mined(columns, select="all", per_node=1)) == 1
    assert len(mined(columns, select="all", per_task=2)) == 2
    assert mined(columns, min_chosen=0.9).dropped == {LOW_CHOSEN: 1}


def test_without_joined_histories_the_pairs_are_those_of_the_tree() -> None:
    from tratree_cli.trees.divergence_pairs import mine

    columns = columns_from_lists(
        ["t"] * 3,
        [[(HOME, BUY)], [(HOME, RED), (ITEM, BUY)], [(HOME, RED), (ITEM, BACK)]],
        [1.0, 0.4, 0.0],
    )
    tree = mine(build_forest(columns), select="all")
    assert list(mined(columns, select="all").pairs) == list(tree.pairs)


def test_a_mirror_of_a_pair_across_histories_looks_at_the_rejected_sides_own_turn() -> None:
    # The rejected side bought at its second turn; the chosen one came to the state at its third.
    columns = columns_from_lists(
        ["t"] * 2,
        [
            [(HOME, SEARCH), (RESULTS, BLUE), (ITEM, RED), (ITEM, BUY)],
            [(HOME, BACK), (ITEM, BUY)],
        ],
        [1.0, 0.5],
    )
    found = mined(columns, horizons=[1])
    pair = next(pair for pair in found.pairs if pair.step == 2)
    assert pair.rejected_place == 1
    mirrors = [pair for pair in with_mirrors(found, columns).pairs if pair.basis == "mirror"]
    assert [(mirror.step, mirror.rejected_step) for mirror in mirrors] == [(3, 2)]
