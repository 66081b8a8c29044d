"""Token sequences as tries in depth-first order, cut into pieces of bounded size.

Rows are sorted; what a row adds to the trie begins where it parts from its predecessor, so nodes
are numbered in depth-first order and the ancestors of node q are the nodes k with
``k <= q < end[k]`` (an Euler tour of the trie). A piece holds neighbouring rows; the prefix that it
shares with the piece before is repeated once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tratree_cli.errors import InputError

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenTrie:
    """U distinct tokens of some rows, in depth-first order.

    ``tokens[U]`` are token ids, ``depth[U]`` positions on the path (0 at a row's first token),
    ``parent[U]`` the node before (-1 at depth 0), ``end[U]`` the number after the node's last
    descendant. ``rows`` are the places of the rows in what was handed in, ``paths[i]`` the nodes
    of row ``rows[i]``, one a token.
    """

    tokens: IntArray
    depth: IntArray
    parent: IntArray
    end: IntArray
    rows: tuple[int, ...]
    paths: tuple[IntArray, ...]

    def __len__(self) -> int:
        return len(self.tokens)


def build_tries(rows: Sequence[Sequence[int]], budget: int = 0) -> list[TokenTrie]:
    """The rows as tries of at most ``budget`` nodes each (0: one trie of all rows).

    Rows are token ids; equal rows share their whole path, a row may end inside another's. Raises
    ``InputError`` where one row alone exceeds the budget.
    """
    arrays = [np.asarray(row, dtype=np.int64) for row in rows]
    longest = max(map(len, arrays), default=0)
    if budget and longest > budget:
        raise InputError(
            f"tree packing: a row has {longest} tokens, the budget is {budget}; raise the token "
            "budget or set tree_packing=off"
        )
    order = sorted(range(len(arrays)), key=lambda place: (arrays[place].tolist(), place))
    pieces: list[list[int]] = []
    size = 0
    for position, place in enumerate(order):
        row = arrays[place]
        shared = common_prefix(arrays[order[position - 1]], row) if position else 0
        added = len(row) - shared
        if not pieces or (budget and size + added > budget):
            pieces.append([])
            size, added = 0, len(row)
        pieces[-1].append(place)
        size += added
    return [_trie(arrays, piece) for piece in pieces]


def repeated_tokens(rows: Sequence[Sequence[int]], tries: Sequence[TokenTrie]) -> int:
    """Tokens of ``build_tries(rows, budget)`` that two neighbouring pieces both hold."""
    return sum(
        common_prefix(np.asarray(rows[one.rows[-1]]), np.asarray(rows[other.rows[0]]))
        for one, other in pairwise(tries)
    )


def common_prefix(first: IntArray, second: IntArray) -> int:
    """The number of leading tokens that two rows have in common."""
    length = min(len(first), len(second))
    different = np.flatnonzero(first[:length] != second[:length])
    return int(different[0]) if len(different) else length


def _trie(arrays: Sequence[IntArray], places: Sequence[int]) -> TokenTrie:
    """One trie of sorted rows."""
    tokens: list[IntArray] = []
    depth: list[IntArray] = []
    parent: list[IntArray] = []
    paths: list[IntArray] = []
    shared_lengths: list[int] = []
    size = 0
    for place in places:
        row = arrays[place]
        shared = common_prefix(arrays[places[len(paths) - 1]], row) if paths else 0
        new = np.arange(size, size + len(row) - shared)
        path = np.concatenate((paths[-1][:shared], new)) if paths else new
        tokens.append(row[shared:])
        depth.append(np.arange(shared, len(row)))
        parent.append(np.concatenate(([-1], path[:-1]))[shared:] if len(row) else path)
        paths.append(path)
        shared_lengths.append(shared)
        size += len(new)
    end = np.full(size, size, dtype=np.int64)
    begun = 0
    for number, path in enumerate(paths):
        begun += len(path) - shared_lengths[number]
        if number + 1 < len(paths):
            end[path[shared_lengths[number + 1] :]] = begun
    return TokenTrie(
        np.concatenate(tokens),
        np.concatenate(depth),
        np.concatenate(parent).astype(np.int64),
        end,
        tuple(places),
        tuple(paths),
    )
