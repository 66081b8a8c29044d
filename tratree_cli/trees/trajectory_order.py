"""Which of several recorded trajectories is the better one, and ties between branches by that.

Better is a higher G; at equal G a trajectory without an ineffective step; then one of fewer steps;
then the first inserted.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from tratree_cli.trees.columns import Columns, IntArray
from tratree_cli.trees.forest import Forest


def best_last(columns: Columns, trajectories: IntArray) -> IntArray:
    """These trajectories, the best of them at the end."""
    ranks = (
        -trajectories,
        -columns.lengths[trajectories],
        columns.effective[trajectories],
        columns.score[trajectories],
    )
    return trajectories[np.lexsort(ranks)]


class TrajectoryRanks:
    """The rank of the best trajectory (0: the best of the forest) of every branch of a forest.

    It is computed at the first use: most searches meet no branches of equal merit.
    """

    def __init__(self, forest: Forest) -> None:
        self._forest = forest

    @cached_property
    def _order(self) -> IntArray:
        counted = np.flatnonzero(self._forest.columns.counted)
        return best_last(self._forest.columns, counted)[::-1]

    @cached_property
    def through(self) -> IntArray:
        """Of the trajectories through each node, ``[N]``; roots are no branches."""
        forest, order = self._forest, self._order
        taken = forest.columns.lengths[order]
        place = np.zeros(len(forest.columns), dtype=np.int64)
        place[order] = np.arange(len(order))
        best = np.full(len(forest), len(order), dtype=np.int64)
        inside = forest.step_node >= 0
        owner = np.repeat(np.arange(len(forest.columns)), forest.columns.lengths)[inside]
        assert int(taken.sum()) == len(owner), "every counted step has a node"
        np.minimum.at(best, forest.step_node[inside], place[owner])
        return best

    @cached_property
    def ending(self) -> IntArray:
        """Of the trajectories that end at each node, ``[N]``."""
        order = self._order
        best = np.full(len(self._forest), len(order), dtype=np.int64)
        best[self._forest.end_node[order[::-1]]] = np.arange(len(order))[::-1]
        return best
