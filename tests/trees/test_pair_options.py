"""Options of pairs on trees that are checked by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from tratree_cli.trees.build import build_forest
from tratree_cli.trees.columns import DONE_END, NO_ACTION, Columns, columns_from_lists
from tratree_cli.trees.divergence_pairs import mine
from tratree_cli.trees.mirror_pairs import with_mirrors
from tratree_cli.trees.pair_limits import without_invalid_sides
from tratree_cli.trees.pairs import (
    DUPLICATE,
    GAP,
    LOW_CHOSEN,
    NO_EFFECT,
    PER_KIND,
    UNPARSABLE_SIDE,
    Pair,
    PairSet,
)
from tratree_cli.trees.trajectory_pairs import mine_whole

STEP_LIMIT_END = 1


def branches(*actions: int, scores: list[float], **more: Any) -> Columns:
    """One task whose trajectories answer one state with these actions."""
    return columns_from_lists(["t"] * len(actions), [[(0, a)] for a in actions], scores, **more)


def sides(found: PairSet) -> list[tuple[int, int]]:
    return [(pair.chosen, pair.rejected) for pair in found.pairs]


# Level


def two_turns() -> Columns:
    """Two ways of two turns, 1 then 3 and 2 then 4, of which the first is the better one."""
    return columns_from_lists(["t"] * 2, [[(0, 1), (5, 3)], [(0, 2), (6, 4)]], [1.0, 0.0])


@pytest.mark.parametrize(("horizons", "found"), [([0], [0]), ([1], [1]), ([1, 0], [1, 0])])
def test_each_divergence_makes_one_pair_for_each_horizon(
    horizons: list[int], found: list[int]
) -> None:
    by_tree = mine(build_forest(two_turns()), horizons=horizons)
    whole = mine_whole(two_turns(), horizons=horizons)
    assert [pair.horizon for pair in by_tree.pairs] == found
    assert [pair.horizon for pair in whole.pairs] == found
    assert sides(by_tree) == [(0, 1)] * len(found)


def test_a_limit_counts_divergences_and_not_the_horizons_of_each() -> None:
    found = mine(build_forest(two_turns()), horizons=[1, 0], per_task=1)
    assert [pair.horizon for pair in found.pairs] == [1, 0]


def test_a_continuation_of_one_turn_is_the_same_at_both_levels() -> None:
    found = mine(build_forest(branches(1, 2, scores=[1.0, 0.0])), horizons=[1, 0])
    assert [pair.horizon for pair in found.pairs] == [0]
    assert found.dropped == {DUPLICATE: 1}


# The chosen side's score


def test_a_chosen_trajectory_below_the_least_score_makes_no_pair() -> None:
    columns = columns_from_lists(
        ["a", "a", "b", "b"], [[(0, 1)], [(0, 2)], [(0, 1)], [(0, 2)]], [1.0, 0.0, 0.5, 0.0]
    )
    for found in (mine(build_forest(columns), min_chosen=1.0), mine_whole(columns, min_chosen=1.0)):
        assert (sides(found), found.dropped) == ([(0, 1)], {LOW_CHOSEN: 1})
    assert len(mine(build_forest(columns), min_chosen=0.5)) == 2


# Turns without effect


def some_invalid() -> Columns:
    """Four branches: perfect, without an effect, half, and not to be parsed."""
    return branches(
        1, 2, 3, NO_ACTION,
        scores=[1.0, 0.0, 0.5, 0.0],
        valid=[[True], [False], [True], [True]],
        outputs=[[11], [12], [13], [14]],
    )  # fmt: skip


def test_a_branch_that_begins_without_effect_or_unparsed_is_no_side() -> None:
    found = mine(build_forest(some_invalid()))
    assert (sides(found), found.divergences) == ([(0, 2)], 1), "the widest gap of the others"
    assert found.dropped == {NO_EFFECT: 1, UNPARSABLE_SIDE: 1}
    kept = mine(build_forest(some_invalid()), keep_invalid=True)
    assert (sides(kept), kept.dropped) == ([(0, 1)], {})


def test_whole_trajectories_that_begin_without_effect_are_no_sides() -> None:
    found = mine_whole(some_invalid())
    assert sides(found) == [(0, 2)]
    # Of the 5 pairs with a gap, two have the side that could not be parsed, two the other.
    assert found.dropped == {GAP: 1, NO_EFFECT: 2, UNPARSABLE_SIDE: 2}
    assert len(mine_whole(some_invalid(), keep_invalid=True)) == 5


def test_a_branch_is_stood_for_by_a_trajectory_whose_own_turn_had_an_effect() -> None:
    # Action 2 had no effect in the worst trajectory and one in the other.
    columns = branches(1, 2, 2, scores=[1.0, 0.0, 0.25], valid=[[True], [False], [True]])
    found = mine(build_forest(columns))
    assert sides(found) == [(0, 2)]
    assert found.pairs[0].rejected_value == 0.125, "the branch's value is that of all"


def test_pairs_of_any_rule_can_be_freed_of_turns_without_effect() -> None:
    columns = some_invalid()
    every = PairSet([Pair(0, 0, 0, other, 1.0, 0.0) for other in (1, 2, 3)])
    found = without_invalid_sides(every, columns)
    assert (sides(found), found.dropped) == ([(0, 2)], {NO_EFFECT: 1, UNPARSABLE_SIDE: 1})


def test_the_turn_at_which_a_pair_parts_is_the_one_that_must_have_had_an_effect() -> None:
    columns = columns_from_lists(
        ["t"] * 3,
        [[(0, 1), (5, 2), (6, 3)], [(0, 1), (5, 4), (6, NO_ACTION)], [(0, 1), (5, 6)]],
        [1.0, 0.5, 0.0],
        valid=[[False, True, True], [True, False, True], [True, True]],
    )
    for step, other, reason in (
        (0, 2, NO_EFFECT), (1, 2, ""), (1, 1, NO_EFFECT), (2, 1, UNPARSABLE_SIDE), (3, 1, ""),
    ):  # fmt: skip
        found = without_invalid_sides(PairSet([Pair(0, step, 0, other, 1.0, 0.0)]), columns)
        assert dict(found.dropped) == ({reason: 1} if reason else {})
        assert len(found) == (not reason)


def test_a_demonstrated_side_is_looked_up_among_the_demonstrations() -> None:
    explored = columns_from_lists(["t"], [[(0, 1)]], [0.0], valid=[[True]])
    demos = columns_from_lists(["t"], [[(0, 2)]], [1.0], valid=[[False]])
    pair = Pair(0, 0, 0, 0, 1.0, 0.0)
    shown = PairSet([pair], demonstrated=True)
    assert dict(without_invalid_sides(shown, explored, demos).dropped) == {NO_EFFECT: 1}
    for plain in (
        without_invalid_sides(shown, explored),
        without_invalid_sides(PairSet([pair]), explored, demos),
    ):
        assert (plain.pairs, dict(plain.dropped)) == ([pair], {})


def test_a_mirror_stays_whatever_its_last_turn_did() -> None:
    """It teaches not to take that turn, wherever the first one stood."""
    columns = columns_from_lists(["t"], [[(0, 1), (5, 2)]], [1.0], valid=[[True, False]])
    mirror = Pair(0, 1, 0, 0, 1.0, 1.0, basis="mirror", rejected_step=0)
    assert without_invalid_sides(PairSet([mirror]), columns).pairs == [mirror]


# Kinds of what differs


def kind_of(better: int, worse: int) -> str:
    return "even" if better % 2 == worse % 2 == 0 else "odd"


def test_pairs_carry_what_differs_and_a_limit_keeps_the_widest_of_each_kind() -> None:
    columns = branches(2, 4, 6, 3, scores=[1.0, 0.6, 0.3, 0.0])
    every = mine(build_forest(columns), select="all", kind_of=kind_of)
    assert Counter(pair.kind for pair in every.pairs) == {"even": 3, "odd": 3}
    found = mine(build_forest(columns), select="all", kind_of=kind_of, per_kind=1)
    assert [(p.kind, round(p.gap, 1)) for p in found.pairs] == [("even", 0.7), ("odd", 1.0)]
    assert found.dropped == {PER_KIND: 4}
    whole = mine_whole(columns, kind_of=kind_of, per_kind=2)
    assert Counter(pair.kind for pair in whole.pairs) == {"even": 2, "odd": 2}
    assert whole.dropped == {PER_KIND: 2}


def test_the_limit_of_a_kind_holds_in_each_task() -> None:
    columns = columns_from_lists(["a", "a", "b", "b"], [[(0, 1)], [(0, 2)]] * 2, [1.0, 0.0] * 2)
    assert len(mine(build_forest(columns), per_kind=1)) == 2


# Length as a tie-break


def equal_scores(*lengths: int, score: float = 1.0) -> Columns:
    """One branch for each length, all with one score."""
    steps = [
        [(10 * branch + step if step else 0, 10 * branch + step) for step in range(length)]
        for branch, length in enumerate(lengths, start=1)
    ]
    return columns_from_lists(["t"] * len(lengths), steps, [score] * len(lengths))


def test_equal_scores_make_no_pair_unless_length_is_to_decide() -> None:
    forest = build_forest(equal_scores(4, 2, 3))
    assert mine(forest).dropped == {GAP: 1}
    found = mine(forest, tie_break="shorter")
    assert (sides(found), found.dropped) == ([(1, 0)], {})
    (pair,) = found.pairs
    assert (pair.basis, pair.gap) == ("length", 0.0)


@pytest.mark.parametrize(("select", "found"), [("all", 3), ("adjacent", 2)])
def test_length_decides_for_every_pair_of_branches_that_is_selected(
    select: Any, found: int
) -> None:
    forest = build_forest(equal_scores(4, 2, 3))
    mined = mine(forest, select=select, tie_break="shorter")
    assert len(mined) == found
    lengths = forest.columns.lengths
    assert all(lengths[p.chosen] < lengths[p.rejected] for p in mined.pairs)


@pytest.mark.parametrize(
    "columns", [equal_scores(2, 2), equal_scores(2, 3, score=0.0)], ids=["as long", "both failed"]
)
def test_length_decides_nothing_where_there_is_nothing_to_gain(columns: Columns) -> None:
    found = mine(build_forest(columns), tie_break="shorter")
    assert (len(found), found.dropped) == (0, {GAP: 1})


def test_a_gap_of_scores_goes_before_length() -> None:
    columns = columns_from_lists(["t"] * 2, [[(0, 1), (5, 3)], [(0, 2)]], [1.0, 0.5])
    (pair,) = mine(build_forest(columns), tie_break="shorter").pairs
    assert (pair.basis, pair.chosen) == ("score", 0)


def test_the_shortest_of_the_best_continuations_stands_for_its_branch() -> None:
    # Below action 1 both ways are perfect, in three turns and in two; below action 2 in four.
    columns = columns_from_lists(
        ["t"] * 3,
        [
            [(0, 1), (5, 6), (7, 8)],
            [(0, 1), (5, 9)],
            [(0, 2), (10, 11), (12, 13), (14, 15)],
        ],
        [1.0, 1.0, 1.0],
    )
    found = mine(build_forest(columns), tie_break="shorter")
    assert [p for p in sides(found) if p[1] == 2] == [(1, 2)]


# Mirror pairs

OPTION, BUY, SEARCH = 1, 2, 3


def shop(score: float = 1.0, end: int = DONE_END) -> Columns:
    """After a search, an option and then buying (G = ``score``), or buying at once (G = 0.5)."""
    return columns_from_lists(
        ["t"] * 2,
        [[(0, SEARCH), (5, OPTION), (6, BUY)], [(0, SEARCH), (5, BUY)]],
        [score, 0.5],
        end=[end, DONE_END],
    )


def test_a_perfect_way_around_the_end_has_its_opposite_at_its_own_end() -> None:
    columns = shop()
    pair, mirror = with_mirrors(mine(build_forest(columns)), columns).pairs
    assert (pair.basis, pair.step, pair.chosen, pair.rejected) == ("score", 1, 0, 1)
    assert mirror == Pair(
        task=0,
        step=2,
        chosen=0,
        rejected=0,
        chosen_value=1.0,
        rejected_value=1.0,
        rejected_visits=0,
        horizon=1,
        basis="mirror",
        rejected_step=1,
    )


@pytest.mark.parametrize(
    "columns",
    [
        shop(score=0.9),
        shop(end=STEP_LIMIT_END),
        # The rejected way goes on after the divergence.
        columns_from_lists(
            ["t"] * 2,
            [[(0, OPTION), (6, BUY)], [(0, BUY), (7, BUY)]],
            [1.0, 0.5],
        ),
        # The chosen turn is the last one itself.
        columns_from_lists(["t"] * 2, [[(0, OPTION)], [(0, BUY)]], [1.0, 0.5]),
        # What was said at the divergence, or at the end, was no action.
        columns_from_lists(["t"] * 2, [[(0, NO_ACTION), (6, BUY)], [(0, BUY)]], [1.0, 0.5]),
        columns_from_lists(["t"] * 2, [[(0, OPTION), (6, NO_ACTION)], [(0, BUY)]], [1.0, 0.5]),
    ],
    ids=["not perfect", "not ended", "not an end", "ends at once", "no action", "no last action"],
)
def test_no_other_pair_has_a_mirror(columns: Columns) -> None:
    found = with_mirrors(mine(build_forest(columns), keep_invalid=True), columns)
    assert [pair.basis for pair in found.pairs] == ["score"]


def test_a_mirror_is_found_wherever_its_trajectory_stands() -> None:
    columns = shop().take(np.array([1, 0, 1]))
    pair, mirror = with_mirrors(mine(build_forest(columns)), columns).pairs
    assert (pair.chosen, pair.rejected) == (1, 0)
    assert (mirror.chosen, mirror.step, mirror.rejected_step) == (1, 2, 1)


def test_both_levels_of_a_pair_have_one_mirror() -> None:
    columns = shop()
    found = with_mirrors(mine(build_forest(columns), horizons=[1, 0]), columns)
    assert Counter(pair.basis for pair in found.pairs) == {"score": 2, "mirror": 1}
