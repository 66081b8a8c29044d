"""The forest without its chains: what a search actually has to decide on.

A node with one continuation (one child, no trajectory ends there) is visited exactly when the next
node is, so its statistics equal those of the node below. Search runs on the nodes that offer a
choice; the statistics are copied back along the chains afterwards. Most steps of a forest belong to
chains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tratree_cli.trees.columns import BoolArray, FloatArray, IntArray
from tratree_cli.trees.forest import Forest

STOP = -1
"""Stands for the virtual stop leaf where a child's node would stand."""


@dataclass(frozen=True)
class DecisionPoints:
    """B decision points with O options in all, over the N nodes of a forest.

    ``bottom[N]`` is the first node at or below v that is no chain node: a leaf or a decision point.
    ``point[N]`` numbers the decision points (-1 elsewhere) and ``node[B]`` names their nodes. The
    options of point b are ``offsets[b]:offsets[b + 1]``, in insertion order (a stop leaf where
    its first trajectory was inserted): ``child[O]`` is the child node or ``STOP``,
    ``leads_to[O]`` the decision point below (-1: a leaf), ``value[O]`` the leaf's mean G (0 where a
    decision point follows).
    """

    bottom: IntArray
    point: IntArray
    node: IntArray
    offsets: IntArray
    child: IntArray
    leads_to: IntArray
    value: FloatArray

    @property
    def width(self) -> IntArray:
        """Options per decision point, ``[B]``."""
        return np.diff(self.offsets)

    def part(self, begin: int, end: int) -> DecisionPoints:
        """The decision points ``begin`` to ``end`` (whole trees) alone, numbered from 0."""
        first, last = int(self.offsets[begin]), int(self.offsets[end])
        leads_to = self.leads_to[first:last]
        return replace(
            self,
            node=self.node[begin:end],
            offsets=self.offsets[begin : end + 1] - first,
            child=self.child[first:last],
            leads_to=np.where(leads_to >= 0, leads_to - begin, -1),
            value=self.value[first:last],
        )


def decision_points(forest: Forest, trees: BoolArray) -> DecisionPoints:
    """The decision points of those trees for which ``trees[K]`` is true, chains collapsed."""
    size = len(forest)
    chain = (forest.child_count == 1) & (forest.endings == 0)
    bottom = np.where(chain, forest.first_child, np.arange(size))
    while True:  # pointer doubling: chains of length n settle in log2(n) rounds
        further = bottom[bottom]
        if np.array_equal(further, bottom):
            break
        bottom = further

    node = np.flatnonzero((forest.child_count + forest.has_stop > 1) & trees[forest.tree])
    point = np.full(size, -1, dtype=np.int64)
    point[node] = np.arange(len(node))
    offsets = np.concatenate(([0], np.cumsum(forest.child_count[node] + forest.has_stop[node])))
    owner = np.repeat(np.arange(len(node)), np.diff(offsets))
    rank = np.arange(offsets[-1]) - offsets[owner]
    stop_rank = _stop_ranks(forest, node)[owner]
    child = forest.first_child[node][owner] + rank - (rank > stop_rank)
    child = np.where(rank == stop_rank, STOP, child)

    below = np.where(child == STOP, node[owner], bottom[child])
    leads_to = np.where(child == STOP, -1, point[below])
    with np.errstate(invalid="ignore", divide="ignore"):
        leaf_value = forest.total_reward / forest.endings
    value = np.where(leads_to < 0, leaf_value[below], 0.0)
    return DecisionPoints(bottom, point, node, offsets, child, leads_to, value)


def _stop_ranks(forest: Forest, node: IntArray) -> IntArray:
    """The place of each stop leaf among its point's options; beyond all where there is none."""
    child = np.flatnonzero(forest.parent >= 0)
    parent = forest.parent[child]
    # Trajectories are inserted in rising order, so comparing the first ones gives the order of
    # insertion.
    earlier = parent[forest.first[child] < forest.first_ending[parent]]
    rank = np.bincount(earlier, minlength=len(forest))[node]
    return np.where(forest.has_stop[node], rank, np.iinfo(np.int64).max)
