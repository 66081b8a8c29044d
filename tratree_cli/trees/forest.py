"""A forest of trajectory trees as columns, one tree a task (paper, section 3.2).

Nodes are numbered tree by tree and, inside a tree, breadth first with children in the order in
which they were inserted. So a tree is a range of nodes, the children of a node are a range of
nodes, and every parent stands before its children: sums run over slices and nothing needs a
pointer. The trade-off: a forest is built once and never grown.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tratree_cli.trees.columns import NO_THOUGHT, BoolArray, Columns, FloatArray, IntArray


@dataclass(frozen=True)
class MergeCounts:
    """What merging did: for the summary that ``build-tree`` prints.

    ``embedded`` distinct texts were sent to the similarity function. ``by_equality`` steps joined
    a node because action and observation were equal, ``by_similarity`` because the observations
    were similar but not equal. ``created`` steps made a node. ``uncounted`` trajectories stayed
    outside.
    """

    embedded: int = 0
    by_equality: int = 0
    by_similarity: int = 0
    created: int = 0
    uncounted: int = 0


@dataclass(frozen=True)
class Forest:
    """N nodes in K trees over the trajectories of ``columns``.

    ``tree_offsets[K + 1]``: tree k is the nodes ``tree_offsets[k]:tree_offsets[k + 1]`` and the
    first of them is its root. ``parent[N]`` is -1 at roots. ``action`` and ``observation`` are
    text numbers (the observation is that of the step which made the node). ``state[N]``: siblings
    with one number act in the same (merged) state; the number is the first such sibling's node.
    ``first_child``, ``child_count``: the range of children. ``first[N]`` is the trajectory that
    made the node.

    Statistics over counted trajectories: ``visits`` pass through or end here, ``successes`` of
    them succeed, ``reward_sum`` is their sum of G; ``endings`` of them end here and
    ``total_reward`` is the sum of G of those (the paper's name).

    ``step_node[S]`` is the node of every step of ``columns`` (-1: uncounted), ``end_node[T]`` the
    node at which a trajectory ends.
    """

    columns: Columns
    tree_offsets: IntArray
    tree: IntArray
    parent: IntArray
    depth: IntArray
    action: IntArray
    observation: IntArray
    state: IntArray
    first: IntArray
    first_child: IntArray
    child_count: IntArray
    visits: IntArray
    successes: IntArray
    reward_sum: FloatArray
    endings: IntArray
    total_reward: FloatArray
    step_node: IntArray
    end_node: IntArray
    merges: MergeCounts

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def trees(self) -> int:
        """The number of trees (tasks), those without any counted trajectory included."""
        return len(self.tree_offsets) - 1

    @property
    def roots(self) -> IntArray:
        """The root of every tree, ``[K]``."""
        return self.tree_offsets[:-1]

    def nodes(self, tree: int) -> range:
        """The nodes of one tree, its root first."""
        return range(int(self.tree_offsets[tree]), int(self.tree_offsets[tree + 1]))

    def children(self, node: int) -> range:
        """The children of a node in insertion order."""
        first = int(self.first_child[node])
        return range(first, first + int(self.child_count[node]))

    def path(self, trajectory: int) -> IntArray:
        """The nodes of a trajectory in order, without the root."""
        return self.step_node[self.columns.span(trajectory)]

    @cached_property
    def mean(self) -> FloatArray:
        """Mean G of the trajectories through each node, ``[N]``; NaN where there is none."""
        with np.errstate(invalid="ignore"):
            return self.reward_sum / self.visits

    @cached_property
    def has_stop(self) -> BoolArray:
        """Inner nodes at which some trajectory ends: they have a virtual "stop" leaf."""
        return np.logical_and(self.child_count > 0, self.endings > 0)

    @cached_property
    def first_ending(self) -> IntArray:
        """The first trajectory that ends at each node, ``[N]``; -1 where none does."""
        first = np.full(len(self), -1, dtype=np.int64)
        counted = np.flatnonzero(self.columns.counted)
        first[self.end_node[counted[::-1]]] = counted[::-1]
        return first

    @cached_property
    def thoughts(self) -> tuple[IntArray, IntArray, IntArray]:
        """All thoughts seen, as ``(offsets[N + 1], thought, count)``.

        The thoughts of node v are the slice ``offsets[v]:offsets[v + 1]``, most frequent first,
        then by first appearance. Steps without a thought are left out.
        """
        steps = np.flatnonzero((self.step_node >= 0) & (self.columns.thoughts != NO_THOUGHT))
        node = self.step_node[steps].astype(np.int64)
        thought = self.columns.thoughts[steps].astype(np.int64)
        width = int(thought.max(initial=0)) + 1
        key, first, count = np.unique(node * width + thought, return_index=True, return_counts=True)
        order = np.lexsort((first, -count, key // width))
        key = key[order]
        offsets = np.searchsorted(key // width, np.arange(len(self) + 1))
        return offsets, key % width, count[order]

    def thoughts_of(self, node: int) -> list[tuple[int, int]]:
        """``(thought, count)`` of one node, most frequent first."""
        offsets, thought, count = self.thoughts
        span = slice(int(offsets[node]), int(offsets[node + 1]))
        return list(zip(thought[span].tolist(), count[span].tolist(), strict=True))
