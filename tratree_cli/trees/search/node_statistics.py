"""What the search counted, copied to every node of the forest, and where the greedy path ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from tratree_cli.trees.columns import BoolArray, FloatArray, IntArray
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.search.batched import SearchCounts
from tratree_cli.trees.search.decision_points import STOP, DecisionPoints
from tratree_cli.trees.search.sequential import DecisionPoint, SearchedTree
from tratree_cli.trees.search.walked_leaves import WalkedLeaves
from tratree_cli.trees.trajectory_order import TrajectoryRanks

Select: TypeAlias = Literal["mean", "visits", "max"]
SELECTIONS: tuple[Select, ...] = ("mean", "visits", "max")
"""How e* is read off: by r_M / c_M, by the visits, or by the highest return."""


class NodeStatistics:
    """``visits`` and ``reward`` of every node and of its stop leaf, ``[N]``; ``leaf[K]`` of e*.

    ``walked`` are the leaves that e* may end at, where these are not all.
    """

    def __init__(self, forest: Forest, walked: WalkedLeaves | None = None) -> None:
        self.forest = forest
        self.walked = walked
        # Memory pages that are never written cost nothing: most of a big tree is never visited.
        self.visits, self.stop_visits = np.zeros((2, len(forest)), dtype=np.int64)
        self.reward, self.stop_reward = np.zeros((2, len(forest)))
        self.leaf = np.full(forest.trees, -1, dtype=np.int64)
        self.ranks = TrajectoryRanks(forest)

    def spread(
        self,
        points: DecisionPoints,
        counts: SearchCounts,
        top: IntArray,
        together: BoolArray,
        rollouts: int,
    ) -> None:
        """Copy the options' statistics to every node of the chains below them."""
        forest = self.forest
        stop = points.child == STOP
        owner = np.repeat(points.node, points.width)
        self.stop_visits[owner[stop]] = counts.count[stop]
        self.stop_reward[owner[stop]] = counts.reward[stop]
        self.visits[points.child[~stop]] = counts.count[~stop]
        self.reward[points.child[~stop]] = counts.reward[~stop]
        self.visits[forest.roots[together]] = rollouts
        self.reward[forest.roots[top >= 0]] = counts.returned[top[top >= 0]]
        # A tree without a choice returns the same value every time.
        alone = forest.roots[together & (top < 0)]
        leaf = points.bottom[alone]
        constant = forest.total_reward[leaf] / forest.endings[leaf]
        self.reward[alone] = np.add.accumulate(np.tile(constant, (rollouts, 1)), axis=0)[-1]
        head = _heads(forest, points)
        self.visits, self.reward = self.visits[head], self.reward[head]

    def enter(self, tree: int, searched: SearchedTree, select: Select, rollouts: int) -> None:
        """Add one tree that was searched on its own."""
        passed = [(searched.chain, rollouts, searched.returned)]
        pending = [searched.root] if isinstance(searched.root, DecisionPoint) else []
        while pending:
            at = pending.pop()
            for option, chain in enumerate(at.chain):
                if at.child[option] < 0:
                    self.stop_visits[at.node] = at.count[option]
                    self.stop_reward[at.node] = at.reward[option]
                else:
                    passed.append((chain, at.count[option], at.reward[option]))
            pending += [below for below in at.below if isinstance(below, DecisionPoint)]
        step_node = self.forest.step_node
        paths: list[IntArray] = [np.array(chain.nodes, dtype=np.int64) for chain, _, _ in passed]
        paths += [step_node[chain.begin : chain.end] for chain, _, _ in passed]
        nodes, sizes = np.concatenate(paths), [len(path) for path in paths]
        self.visits[nodes] = np.repeat([count for _, count, _ in passed] * 2, sizes)
        self.reward[nodes] = np.repeat([reward for _, _, reward in passed] * 2, sizes)
        self.leaf[tree] = self._end(searched, select)

    def _end(self, searched: SearchedTree, select: Select) -> int:
        """The node at which the greedy path ends; -1 where it meets no walked leaf."""
        node, at = searched.chain.last(self.forest), searched.root
        while isinstance(at, DecisionPoint):
            merits: dict[Select, Sequence[float]]
            merits = {"mean": at.mean, "visits": at.count, "max": at.highest}
            merit = _allowed(merits[select], at, self.walked)
            if max(merit) == -np.inf:
                return -1
            option = _preferred(merit, at, self.ranks)
            if at.child[option] < 0:
                return at.node
            node, at = at.chain[option].last(self.forest), at.below[option]
        return node


def _allowed(
    merit: Sequence[float], at: DecisionPoint, walked: WalkedLeaves | None
) -> Sequence[float]:
    """The merits of a point's visited options; -inf for those that lead to no walked leaf."""
    if walked is None:
        return merit
    leads = [walked.ending[at.node] if c < 0 else walked.through[c] for c in at.child]
    return [value if to else -np.inf for value, to in zip(merit, leads, strict=False)]


def _preferred(merit: Sequence[float], at: DecisionPoint, ranks: TrajectoryRanks) -> int:
    """The option of the highest merit; of several the one with the better trajectory."""
    highest = max(merit)
    equal = [option for option, value in enumerate(merit) if value == highest]
    if len(equal) == 1:
        return equal[0]
    return min(
        equal,
        key=lambda option: (
            ranks.ending[at.node] if at.child[option] < 0 else ranks.through[at.child[option]]
        ),
    )


def _heads(forest: Forest, points: DecisionPoints) -> IntArray:
    """For every node the node at or above it that holds its chain's statistics."""
    parent = forest.parent
    free = (parent < 0) | (points.point[parent] >= 0)
    head = np.where(free, np.arange(len(parent)), parent)
    while True:
        further = head[head]
        if np.array_equal(further, head):
            return head
        head = further


def greedy_leaves(
    statistics: NodeStatistics,
    points: DecisionPoints,
    counts: SearchCounts,
    top: IntArray,
    select: Select,
) -> IntArray:
    """Where the greedy path from each root in ``top`` (-1: no choice) ends, ``[K]``.

    -1 where it meets no walked leaf, and where the tree is empty.
    """
    forest, ranks, walked = statistics.forest, statistics.ranks, statistics.walked
    visited = np.maximum(counts.count, 1)
    merits = {"mean": counts.reward / visited, "visits": counts.count, "max": counts.best}
    merit = np.where(counts.count > 0, merits[select], -np.inf)
    if walked is not None:
        owners = np.repeat(points.node, points.width)
        stops = points.child == STOP
        leads = np.where(stops, walked.ending[owners], walked.through[points.child])
        merit = np.where(leads, merit, -np.inf)
    leaf = points.bottom[forest.roots]
    trees, lost = np.flatnonzero(top >= 0), []
    at = top[trees]
    while len(at):
        width = points.width[at]
        ends = np.cumsum(width)
        flat = np.repeat(points.offsets[at] - (ends - width), width) + np.arange(ends[-1])
        hits = _maxima(merit[flat], ends - width, width)
        lost.append(trees[np.maximum.reduceat(merit[flat], ends - width) == -np.inf])
        if len(hits) > len(at):
            child = points.child[flat[hits]]
            owner = np.repeat(points.node[at], width)[hits]
            rank = np.where(child == STOP, ranks.ending[owner], ranks.through[child])
            # Of each segment's hits the one with the best rank; segments stay in their order.
            hits = hits[np.lexsort((rank, np.searchsorted(ends, hits, side="right")))]
            hits = hits[np.searchsorted(np.searchsorted(ends, hits, side="right"), range(len(at)))]
        option = flat[hits]
        child = points.child[option]
        leaf[trees] = np.where(child == STOP, points.node[at], points.bottom[child])
        inner = points.leads_to[option] >= 0
        trees, at = trees[inner], points.leads_to[option][inner]
    leaf[np.concatenate([*lost, np.flatnonzero(forest.visits[forest.roots] == 0)])] = -1
    return leaf


def _maxima(values: FloatArray, begins: IntArray, width: IntArray) -> IntArray:
    """The indices of the highest values of each segment of ``values``, in rising order."""
    highest = np.repeat(np.maximum.reduceat(values, begins), width)
    return np.flatnonzero(values == highest)
