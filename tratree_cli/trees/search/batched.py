"""The search computed in another order: every branching plays its own visits, all at once.

What a branching does at its n-th visit depends only on its own earlier visits and on what its
options return, never on the rest of the tree. So branchings can be played side by side, each as if
it stood alone: what an option returns at its c-th visit is looked up, its sum and its mean with it.
A branching plays its n-th visit at step n + height, so whatever it looks up is already there, and
one pass of array operations serves all heights. Branchings whose options are alike are played once
(outcomes take few values, so most small branchings have a twin). Afterwards, from the top down,
each is read off at the number of visits it really gets. Sums are added in the order of the visits,
so every bit equals what walking from root to leaf gives. The price: branchings deep in big trees
are played further than they are visited, so this is the way for many small trees (``walk`` is the
other).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from tratree_cli.trees.columns import FloatArray, IntArray
from tratree_cli.trees.search.decision_points import Choices
from tratree_cli.trees.search.search_counts import Tally
from tratree_cli.trees.search.subtree_classes import Kinds

_BLOCK = 1 << 15
"""Options played together: enough to make array operations worth it, few enough for the memory."""


def play(
    choices: Choices,
    top: IntArray,
    rollouts: int,
    gamma: float,
    logs: FloatArray,
    keep_best: bool = True,
) -> Tally:
    """Give every branching in ``top`` (rising, the first of each tree) its ``rollouts`` visits.

    ``logs[n]`` is log n (Eq. 7). Without ``keep_best`` the tally has no highest returns. Memory:
    up to 30 bytes per rollout and option of one block, whatever the size of the forest, and 8 per
    pair of rollouts.
    """
    options = len(choices.child)
    tally = Tally(
        np.zeros(options, dtype=np.int64),
        np.zeros(options),
        np.full(options, -np.inf),
        np.zeros(len(choices.node)),
    )
    bonus = _bonus(rollouts, gamma, logs)
    for begin, end in _blocks(choices, top):
        inside = top[(top >= begin) & (top < end)] - begin
        span = slice(int(choices.offsets[begin]), int(choices.offsets[end]))
        mine = Tally(
            tally.count[span], tally.reward[span], tally.best[span], tally.returned[begin:end]
        )
        stage = _Stage(Kinds(choices.part(begin, end)), rollouts)
        stage.play(bonus)
        stage.read(inside, mine, keep_best)
    return tally


def _blocks(choices: Choices, top: IntArray) -> Iterator[tuple[int, int]]:
    """Ranges of branchings, whole trees each, of about ``_BLOCK`` options."""
    if not len(top):
        return
    bounds = np.append(top, len(choices.node))
    block = choices.offsets[bounds] // _BLOCK
    cuts = np.unique(np.append(bounds[np.flatnonzero(np.diff(block, prepend=-1))], bounds[-1]))
    yield from zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)


def _bonus(rollouts: int, gamma: float, logs: FloatArray) -> FloatArray:
    """What exploration adds (Eq. 7), at ``n * rollouts + c``; 0 where an option has no visit."""
    count = np.arange(rollouts, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        table = gamma * np.sqrt(logs[:rollouts, None] / count)
    table[0] = table[:, 0] = 0.0
    return table.reshape(-1)


class _Stage:
    """All kinds, playing: K columns (leaves first), and a row for every step.

    Row ``n + height`` of a column has its return at visit n + 1 (``value``) and the sum of all
    returns up to it (``total``). Options lie flat, each at its place, branchings of
    like width together as ``[width, U]``; where one has fewer options than its group the rest is
    never taken.
    """

    def __init__(self, kinds: Kinds, rollouts: int) -> None:
        self.kinds, self.rollouts = kinds, rollouts
        self.leaves = leaves = len(kinds.levels)
        width = kinds.choices.width[kinds.example]
        # Widths up to 4 have rows of their own; wider ones share them by powers of two.
        group = np.where(width <= 4, width, 2 ** np.ceil(np.log2(width)).astype(np.int64))
        order = np.argsort(group, kind="stable")
        self.column = np.arange(leaves + len(order))
        self.column[leaves + order] = np.arange(leaves, leaves + len(order))
        self.height = np.concatenate((kinds.height[:leaves], kinds.height[leaves:][order]))
        self.tallest = int(self.height.max())
        self._lay_out(kinds.example[order], group[order])
        shape = (rollouts + self.tallest, len(self.height))
        self.value, self.total = np.zeros(shape), np.zeros(shape)
        # Counts are kept as cells of ``bonus``, shifted to where a player's height puts it.
        self.shift = (self.tallest - self.height[leaves:]) * rollouts
        small = (self.tallest + 1) * rollouts <= np.iinfo(np.int16).max
        self.cells = np.empty((shape[0], len(self.real)), dtype=np.int16 if small else np.int32)
        own = (slice(rollouts), slice(leaves))
        self.value[own] = kinds.levels
        np.add.accumulate(self.value[own], axis=0, out=self.total[own])

    def _lay_out(self, examples: IntArray, group: IntArray) -> None:
        """Find a place for every option; ``groups`` holds (begin, end, first place, width)."""
        choices = self.kinds.choices
        self.groups: list[tuple[int, int, int, int]] = []
        self.first_place = np.zeros(len(examples), dtype=np.int64)
        self.stride = np.zeros(len(examples), dtype=np.int64)
        option, real, player, places = [], [], [], 0
        borders = np.flatnonzero(np.diff(group, prepend=-1, append=-1)).tolist()
        for begin, end in pairwise(borders):
            width = choices.width[examples[begin:end]]
            rank = np.arange(int(width.max()))[:, None]
            real.append((rank < width).ravel())
            option.append((choices.offsets[examples[begin:end]] + rank).ravel())
            player.append(np.tile(np.arange(begin, end), len(rank)))
            self.groups.append((begin, end, places, len(rank)))
            self.first_place[begin:end] = places + np.arange(end - begin)
            self.stride[begin:end] = end - begin
            places += len(rank) * (end - begin)
        self.real = np.concatenate(real)
        self.player = np.concatenate(player)
        behind = self.kinds.behind[np.where(self.real, np.concatenate(option), 0)]
        self.behind = self.column[behind]

    def play(self, bonus: FloatArray) -> None:
        """Play every kind ``rollouts`` visits and more (what is more is never read)."""
        leaves, rollouts, columns = self.leaves, self.rollouts, len(self.height)
        own_height, base = self.height[leaves:], self.shift[self.player]
        bonus = np.concatenate((np.zeros(self.tallest * rollouts), bonus))
        source = self.height[self.behind] * columns + self.behind - base * columns
        # A place without an option looks visited, with the worst of all means; an option that was
        # not visited has the best, so those come first and in insertion order.
        unseen, best = base + ~self.real, np.where(self.real, np.inf, -np.inf)
        cell, mean, bound = unseen.copy(), best.copy(), np.empty(len(base))
        total, place = np.zeros(len(own_height)), np.zeros(len(own_height), dtype=np.int64)
        shift = self.shift - 1
        groups = [
            (
                bound[first : first + width * (end - begin)].reshape(width, -1),
                place[begin:end],
                first + np.arange(end - begin),
            )
            for begin, end, first, width in self.groups
        ]
        with np.errstate(divide="ignore", invalid="ignore"):
            for step in range(1, len(self.value)):
                if step <= self.tallest:  # what was done before the first own step is void
                    fresh = np.flatnonzero(own_height[self.player] == step)
                    cell[fresh], mean[fresh] = unseen[fresh], best[fresh]
                    total[own_height == step] = 0.0
                bonus[step * rollouts :].take(cell, out=bound, mode="clip")
                np.add(bound, mean, out=bound)
                for rows, chosen, first in groups:
                    _choose(rows, chosen)
                    chosen *= len(first)
                    chosen += first
                before = cell.take(place)
                at = before * columns
                at += source.take(place)
                cell[place] = before + 1
                mean[place] = self.total.take(at, mode="clip") / (before - shift)
                value = self.value.take(at, mode="clip")
                total += value
                self.value[step, leaves:] = value
                self.total[step, leaves:] = total
                self.cells[step] = cell

    def read(self, top: IntArray, tally: Tally, keep_best: bool) -> None:
        """Read off the visits that really happen, from the ``top`` branchings down."""
        kinds, choices = self.kinds, self.kinds.choices
        seen = np.zeros(len(choices.node), dtype=np.int64)
        seen[top] = self.rollouts
        behind = self.column[kinds.behind]
        highest = self._highest() if keep_best else None
        for height in range(self.tallest, 0, -1):
            members = np.flatnonzero((kinds.tall == height) & (seen > 0))
            row, column = seen[members] - 1 + height, self.column[kinds.of_branching[members]]
            tally.returned[members] = self.total[row, column]
            option = np.flatnonzero((kinds.tall[kinds.owner] == height) & (seen[kinds.owner] > 0))
            owner = kinds.owner[option]
            player = self.column[kinds.of_branching[owner]] - self.leaves
            place = self.first_place[player]
            place = place + self.stride[player] * (option - choices.offsets[owner])
            count = self.cells[seen[owner] - 1 + height, place] - self.shift[player]
            option, count = option[count > 0], count[count > 0]
            row, column = count - 1 + self.height[behind[option]], behind[option]
            tally.count[option] = count
            tally.reward[option] = self.total[row, column]
            if highest is not None:
                tally.best[option] = highest[row, column]
            below = choices.leads_to[option]
            seen[below[below >= 0]] = count[below >= 0]

    def _highest(self) -> FloatArray:
        """The highest return up to each visit, where ``total`` has the sum."""
        begun = np.arange(len(self.value))[:, None] >= self.height
        return np.maximum.accumulate(np.where(begun, self.value, -np.inf), axis=0)


def _choose(rows: FloatArray, chosen: IntArray) -> None:
    """Where the first highest of W rows lies in every column; ``rows`` are used up."""
    if len(rows) > 4:
        chosen[:] = rows.argmax(axis=0)
        return
    highest = rows[0]
    chosen[:] = rows[1] > highest
    for rank in range(2, len(rows)):
        np.maximum(highest, rows[rank - 1], out=highest)
        np.copyto(chosen, rank, where=rows[rank] > highest)
