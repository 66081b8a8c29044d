"""A trie holds every row as a path, each distinct prefix once, in depth-first order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tratree_cli.errors import InputError
from tratree_cli.training.tree_packing.decision import repeated_by_cuts, sharing_in_batches
from tratree_cli.training.tree_packing.trie import build_tries, repeated_tokens

ROWS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=8)


@settings(deadline=None)
@given(ROWS, st.sampled_from((0, 8, 11)))
def test_every_row_is_a_path(rows: list[list[int]], budget: int) -> None:
    tries = build_tries(rows, budget)
    assert sorted(row for trie in tries for row in trie.rows) == list(range(len(rows)))
    for trie in tries:
        assert not budget or len(trie) <= budget
        for row, path in zip(trie.rows, trie.paths, strict=True):
            assert trie.tokens[path].tolist() == rows[row]
            assert trie.depth[path].tolist() == list(range(len(rows[row])))
            assert trie.parent[path].tolist() == [-1, *path[:-1].tolist()]


@settings(deadline=None)
@given(ROWS)
def test_each_distinct_prefix_is_one_node(rows: list[list[int]]) -> None:
    (trie,) = build_tries(rows)
    prefixes = {tuple(row[: length + 1]) for row in rows for length in range(len(row))}
    assert len(trie) == len(prefixes)


@settings(deadline=None)
@given(ROWS)
def test_ancestors_are_what_the_euler_tour_says(rows: list[list[int]]) -> None:
    (trie,) = build_tries(rows)
    for node in range(len(trie)):
        ancestors, at = {node}, int(trie.parent[node])
        while at >= 0:
            ancestors.add(at)
            at = int(trie.parent[at])
        numbers = np.arange(len(trie))
        told = numbers[(numbers <= node) & (node < trie.end)]
        assert set(told.tolist()) == ancestors


@dataclass(frozen=True)
class _Row:
    tree: str
    sequences: tuple[list[int], ...]


def test_sharing_counts_flat_and_unique_tokens_and_a_cut_repeats_some() -> None:
    rows = [[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 9]]
    whole = sharing_in_batches([_Row("t", tuple(rows))], 1)
    assert (whole.flat, whole.unique) == (11, 6)
    assert whole.ratio == pytest.approx(11 / 6)
    nodes, cut = (sum(map(len, build_tries(rows, budget))) for budget in (0, 5))
    assert (nodes - whole.unique, cut, cut - nodes) == (0, 8, 2)


@settings(deadline=None)
@given(ROWS, st.sampled_from((8, 11)))
def test_what_pieces_repeat_is_counted_exactly(rows: list[list[int]], budget: int) -> None:
    (whole,), cut = build_tries(rows), build_tries(rows, budget)
    assert repeated_tokens(rows, cut) == sum(map(len, cut)) - len(whole)
    assert repeated_tokens(rows, [whole]) == 0


def test_rows_of_a_tree_that_meet_in_several_batches_repeat_what_they_share() -> None:
    rows = [_Row("a", ([1, 2, 3, number],)) for number in range(4, 9)]
    rows += [_Row("b", ([1, 9, 9],)), _Row("b", ([1, 9, 8],))]
    assert repeated_by_cuts(rows, 7) == 0
    # Two, two and one of the first tree: three tokens twice again; "b" is cut once, after one row.
    assert repeated_by_cuts(rows, 2) == 2 * 3 + 2
    assert repeated_by_cuts(rows[:5], 2) == 2 * 3


def test_a_row_beyond_the_budget_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="a row has 4 tokens, the budget is 3"):
        build_tries([[1, 2, 3, 4]], budget=3)
