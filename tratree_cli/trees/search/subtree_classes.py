"""Decision points whose subtrees are equal for the search, found from the leaves up.

Outcomes take few values and most subtrees are small, so many are equal option by option: the
search does the same in all of them, visit by visit, and one of each class is simulated.
"""

from __future__ import annotations

import numpy as np

from tratree_cli.trees.columns import IntArray
from tratree_cli.trees.group_steps import combine
from tratree_cli.trees.search.decision_points import DecisionPoints


class SubtreeClasses:
    """Classes of what can be below an option, numbered from the leaves up.

    A class is a leaf's value (height 0) or the classes of a decision point's options in their
    order. ``leaf_values[L]`` are the classes of height 0; those from L on are decision points, of
    which ``representative[U]`` is one each. ``of_point[B]`` and ``below_option[O]`` are classes,
    ``height[L + U]`` their heights, ``point_height[B]`` those of the decision points; ``owner[O]``
    is the decision point of each option.
    """

    def __init__(self, points: DecisionPoints) -> None:
        self.points = points
        self.owner = np.repeat(np.arange(len(points.node)), points.width)
        inner = np.flatnonzero(points.leads_to >= 0)
        leaf = points.leads_to < 0
        self.point_height = self._heights(inner)
        self.leaf_values, level = np.unique(points.value[leaf], return_inverse=True)
        self.below_option = np.zeros(len(points.child), dtype=np.int64)
        self.below_option[leaf] = level
        self.of_point = np.zeros(len(points.node), dtype=np.int64)
        above = np.full(len(points.node), -1, dtype=np.int64)
        above[points.leads_to[inner]] = inner
        count, examples = len(self.leaf_values), []
        for height in range(1, int(self.point_height.max(initial=0)) + 1):
            members = np.flatnonzero(self.point_height == height)
            width = points.width[members]
            rank = np.arange(int(width.max()))[:, None]
            option = np.where(rank < width, points.offsets[members] + rank, 0)
            key = combine(*np.where(rank < width, self.below_option[option], -1))
            _, first, class_of = np.unique(key, return_index=True, return_inverse=True)
            self.of_point[members] = count + class_of
            options = above[members]
            self.below_option[options[options >= 0]] = count + class_of[options >= 0]
            examples.append(members[first])
            count += len(first)
        self.representative = np.concatenate([np.empty(0, dtype=np.int64), *examples])
        self.height = np.concatenate(
            (
                np.zeros(len(self.leaf_values), dtype=np.int64),
                self.point_height[self.representative],
            )
        )

    def _heights(self, inner: IntArray) -> IntArray:
        below, owner = self.points.leads_to[inner], self.owner[inner]
        height = np.ones(len(self.points.node), dtype=np.int64)
        while True:
            raised = height.copy()
            np.maximum.at(raised, owner, height[below] + 1)
            if np.array_equal(raised, height):
                return height
            height = raised
