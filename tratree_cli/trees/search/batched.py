"""Eq. 7 for many small trees at once: every decision point simulates its own visits, as arrays.

What a decision point does at its n-th visit depends only on its own earlier visits and on what its
options return, never on the rest of the tree. So all of them can be simulated side by side, each as
if it stood alone: what an option returns at its c-th visit is looked up, with its sum and its mean.
The n-th visit of a decision point happens at step n + height, so what it looks up is already there,
and one pass of array operations serves all heights. Decision points whose subtrees are equal are
simulated once (``subtree_classes``). Afterwards, from the top down, each is read off at the number
of visits it really gets. Sums are added in the order of the visits, so every bit equals what
``sequential`` gives. The price: decision points deep in big trees are simulated further than they
are visited, so this suits only many small trees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tratree_cli.trees.columns import FloatArray, IntArray
from tratree_cli.trees.search.decision_points import DecisionPoints
from tratree_cli.trees.search.subtree_classes import SubtreeClasses
from tratree_cli.trees.search.ucb import exploration_table

_BLOCK = 1 << 15
"""Options simulated together: many enough for array operations, few enough for the memory."""


@dataclass(frozen=True)
class SearchCounts:
    """``count[O]`` and ``reward[O]`` of every option, ``best[O]`` its highest return (-inf: none).

    ``returned[B]`` sums what came back to every decision point.
    """

    count: IntArray
    reward: FloatArray
    best: FloatArray
    returned: FloatArray


def search_together(
    points: DecisionPoints,
    top: IntArray,
    rollouts: int,
    gamma: float,
    keep_best: bool = True,
) -> SearchCounts:
    """Give every decision point in ``top`` (rising, one a tree) its ``rollouts`` visits.

    Without ``keep_best`` there are no highest returns. Memory: up to 30 bytes per rollout and
    option of one block, whatever the size of the forest, and 8 per pair of rollouts.
    """
    options = len(points.child)
    counts = SearchCounts(
        np.zeros(options, dtype=np.int64),
        np.zeros(options),
        np.full(options, -np.inf),
        np.zeros(len(points.node)),
    )
    exploration = exploration_table(rollouts, gamma)
    for begin, end in _blocks(points, top):
        inside = top[(top >= begin) & (top < end)] - begin
        span = slice(int(points.offsets[begin]), int(points.offsets[end]))
        part = SearchCounts(
            counts.count[span], counts.reward[span], counts.best[span], counts.returned[begin:end]
        )
        batch = _BatchedSearch(SubtreeClasses(points.part(begin, end)), rollouts)
        batch.simulate(exploration)
        batch.read(inside, part, keep_best)
    return counts


def _blocks(points: DecisionPoints, top: IntArray) -> Iterator[tuple[int, int]]:
    """Ranges of decision points, whole trees each, of about ``_BLOCK`` options."""
    if not len(top):
        return
    bounds = np.append(top, len(points.node))
    block = points.offsets[bounds] // _BLOCK
    cuts = np.unique(np.append(bounds[np.flatnonzero(np.diff(block, prepend=-1))], bounds[-1]))
    yield from zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)


class _BatchedSearch:
    """All classes, simulated: K columns (leaves first), and a row for every step.

    Row ``n + height`` of a column has its return at visit n + 1 (``value``) and the sum of all
    returns up to it (``total``). Options are stored flat, each at its place, decision points
    of like width together as ``[width, U]``; where one has fewer options than its group the rest is
    never taken.
    """

    def __init__(self, classes: SubtreeClasses, rollouts: int) -> None:
        self.classes, self.rollouts = classes, rollouts
        self.leaves = leaves = len(classes.leaf_values)
        width = classes.points.width[classes.representative]
        # Widths up to 4 have rows of their own; wider ones share them by powers of two.
        group = np.where(width <= 4, width, 2 ** np.ceil(np.log2(width)).astype(np.int64))
        order = np.argsort(group, kind="stable")
        self.column = np.arange(leaves + len(order))
        self.column[leaves + order] = np.arange(leaves, leaves + len(order))
        self.height = np.concatenate((classes.height[:leaves], classes.height[leaves:][order]))
        self.tallest = int(self.height.max())
        self._lay_out(classes.representative[order], group[order])
        shape = (rollouts + self.tallest, len(self.height))
        self.value, self.total = np.zeros(shape), np.zeros(shape)
        # Counts are kept as indices into ``exploration``, shifted by the height of the class.
        self.shift = (self.tallest - self.height[leaves:]) * rollouts
        small = (self.tallest + 1) * rollouts <= np.iinfo(np.int16).max
        self.cells = np.empty((shape[0], len(self.real)), dtype=np.int16 if small else np.int32)
        own = (slice(rollouts), slice(leaves))
        self.value[own] = classes.leaf_values
        np.add.accumulate(self.value[own], axis=0, out=self.total[own])

    def _lay_out(self, representatives: IntArray, group: IntArray) -> None:
        """Find a place for every option; ``groups`` holds (begin, end, first place, width)."""
        points = self.classes.points
        self.groups: list[tuple[int, int, int, int]] = []
        self.first_place = np.zeros(len(representatives), dtype=np.int64)
        self.stride = np.zeros(len(representatives), dtype=np.int64)
        option, real, column_of_option, places = [], [], [], 0
        borders = np.flatnonzero(np.diff(group, prepend=-1, append=-1)).tolist()
        for begin, end in pairwise(borders):
            width = points.width[representatives[begin:end]]
            rank = np.arange(int(width.max()))[:, None]
            real.append((rank < width).ravel())
            option.append((points.offsets[representatives[begin:end]] + rank).ravel())
            column_of_option.append(np.tile(np.arange(begin, end), len(rank)))
            self.groups.append((begin, end, places, len(rank)))
            self.first_place[begin:end] = places + np.arange(end - begin)
            self.stride[begin:end] = end - begin
            places += len(rank) * (end - begin)
        self.real = np.concatenate(real)
        self.column_of_option = np.concatenate(column_of_option)
        behind = self.classes.below_option[np.where(self.real, np.concatenate(option), 0)]
        self.below = self.column[behind]

    def simulate(self, exploration: FloatArray) -> None:
        """Simulate ``rollouts`` visits of every class, and more that are never read."""
        leaves, rollouts, columns = self.leaves, self.rollouts, len(self.height)
        own_height, base = self.height[leaves:], self.shift[self.column_of_option]
        exploration = np.concatenate((np.zeros(self.tallest * rollouts), exploration))
        source = self.height[self.below] * columns + self.below - base * columns
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
                    fresh = np.flatnonzero(own_height[self.column_of_option] == step)
                    cell[fresh], mean[fresh] = unseen[fresh], best[fresh]
                    total[own_height == step] = 0.0
                exploration[step * rollouts :].take(cell, out=bound, mode="clip")
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

    def read(self, top: IntArray, counts: SearchCounts, keep_best: bool) -> None:
        """Read off the visits that really happen, from the decision points in ``top`` down."""
        classes, points = self.classes, self.classes.points
        seen = np.zeros(len(points.node), dtype=np.int64)
        seen[top] = self.rollouts
        behind = self.column[classes.below_option]
        highest = self._highest() if keep_best else None
        for height in range(self.tallest, 0, -1):
            members = np.flatnonzero((classes.point_height == height) & (seen > 0))
            row, column = seen[members] - 1 + height, self.column[classes.of_point[members]]
            counts.returned[members] = self.total[row, column]
            option = np.flatnonzero(
                (classes.point_height[classes.owner] == height) & (seen[classes.owner] > 0)
            )
            owner = classes.owner[option]
            column_of_option = self.column[classes.of_point[owner]] - self.leaves
            place = self.first_place[column_of_option]
            place = place + self.stride[column_of_option] * (option - points.offsets[owner])
            count = self.cells[seen[owner] - 1 + height, place] - self.shift[column_of_option]
            option, count = option[count > 0], count[count > 0]
            row, column = count - 1 + self.height[behind[option]], behind[option]
            counts.count[option] = count
            counts.reward[option] = self.total[row, column]
            if highest is not None:
                counts.best[option] = highest[row, column]
            below = points.leads_to[option]
            seen[below[below >= 0]] = count[below >= 0]

    def _highest(self) -> FloatArray:
        """The highest return up to each visit, where ``total`` has the sum."""
        begun = np.arange(len(self.value))[:, None] >= self.height
        return np.maximum.accumulate(np.where(begun, self.value, -np.inf), axis=0)


def _choose(rows: FloatArray, chosen: IntArray) -> None:
    """The index of the first highest of W rows in every column; ``rows`` are used up."""
    if len(rows) > 4:
        chosen[:] = rows.argmax(axis=0)
        return
    highest = rows[0]
    chosen[:] = rows[1] > highest
    for rank in range(2, len(rows)):
        np.maximum(highest, rows[rank - 1], out=highest)
        np.copyto(chosen, rank, where=rows[rank] > highest)
