"""Paths that nobody walked: proposed from what helped, never one that was recorded."""

from __future__ import annotations

from tratree_cli.trees.columns import Columns, columns_from_lists
from tratree_cli.trees.stitch import proposals

HOME, ITEM, OTHER, CHEAP = 0, 2, 3, 4
SEARCH, RED, LARGE, BUY, MUG = 10, 11, 12, 13, 14
STEP_LIMIT_END = 1


def shop(**more: object) -> Columns:
    """One took the colour, one the size, one neither; nobody both."""
    return columns_from_lists(
        ["t"] * 3,
        [
            [(HOME, SEARCH), (ITEM, RED), (ITEM, BUY)],
            [(HOME, SEARCH), (ITEM, LARGE), (ITEM, BUY)],
            [(HOME, SEARCH), (ITEM, BUY)],
        ],
        [0.7, 0.7, 0.4],
        **more,  # type: ignore[arg-type]
    )


def actions(columns: Columns, steps: tuple[int, ...]) -> list[int]:
    return [int(columns.actions[step]) for step in steps]


def test_what_helped_on_a_page_in_two_trajectories_is_proposed_together() -> None:
    columns = columns_from_lists(
        ["t"] * 4,
        [
            [(HOME, SEARCH), (ITEM, RED), (ITEM, BUY)],
            [(HOME, SEARCH), (ITEM, LARGE), (ITEM, BUY)],
            [(HOME, SEARCH), (ITEM, BUY)],
            [(HOME, SEARCH), (OTHER, MUG), (OTHER, MUG), (OTHER, BUY)],
        ],
        [0.7, 0.7, 0.4, 0.1],
    )
    first = proposals(columns, 1)[0]
    assert actions(columns, first.steps) == [SEARCH, RED, LARGE, BUY]
    assert first.promise > 0.5


def test_a_path_is_no_longer_than_the_longest_trajectory() -> None:
    found = proposals(shop(), 5)
    assert [actions(shop(), proposal.steps) for proposal in found] == []


def test_a_perfect_task_needs_no_other_path() -> None:
    columns = columns_from_lists(
        ["t"] * 2,
        [[(HOME, SEARCH), (ITEM, RED), (ITEM, LARGE), (ITEM, BUY)], [(HOME, SEARCH), (ITEM, BUY)]],
        [1.0, 0.2],
    )
    assert proposals(columns, 5) == []


def test_only_an_end_that_the_environment_made_is_an_end() -> None:
    columns = columns_from_lists(
        ["t"] * 2,
        [[(HOME, SEARCH), (ITEM, RED), (ITEM, RED)], [(HOME, MUG), (ITEM, LARGE), (ITEM, LARGE)]],
        [0.5, 0.5],
        end=[STEP_LIMIT_END, STEP_LIMIT_END],
    )
    assert proposals(columns, 5) == []


def test_actions_without_effect_are_not_taken() -> None:
    columns = columns_from_lists(
        ["t"] * 2,
        [[(HOME, SEARCH), (ITEM, RED), (ITEM, BUY)], [(HOME, MUG), (ITEM, LARGE), (ITEM, BUY)]],
        [0.5, 0.4],
        valid=[[True, False, True], [True, True, True]],
    )
    found = proposals(columns, 9)
    assert found
    assert all(RED not in actions(columns, proposal.steps) for proposal in found)


def test_there_are_at_most_so_many_paths_a_task_and_each_is_another_one() -> None:
    columns = columns_from_lists(
        ["t"] * 4,
        [
            [(HOME, SEARCH), (ITEM, RED), (ITEM, BUY)],
            [(HOME, MUG), (ITEM, LARGE), (ITEM, BUY)],
            [(HOME, MUG), (CHEAP, BUY)],
            [(HOME, SEARCH), (CHEAP, RED), (CHEAP, LARGE), (CHEAP, BUY)],
        ],
        [0.5, 0.4, 0.3, 0.2],
    )
    every = proposals(columns, 99)
    paths = [tuple(actions(columns, proposal.steps)) for proposal in every]
    assert len(set(paths)) == len(paths) > 2
    assert [p.promise for p in every] == sorted((p.promise for p in every), reverse=True)
    assert proposals(columns, 2) == every[:2]
