"""Branchings that are alike in all they will ever do, found from the leaves up.

Outcomes take few values and most branchings are small, so many have a twin: what one does, visit
by visit, the other does as well, and it is enough to play one of them.
"""

from __future__ import annotations

import numpy as np

from tratree_cli.trees.columns import IntArray
from tratree_cli.trees.group_steps import combine
from tratree_cli.trees.search.decision_points import Choices


class Kinds:
    """Kinds of whatever can lie behind an option, numbered from the leaves up.

    A kind is a leaf's value (height 0) or the kinds of a branching's options in their order.
    ``levels[L]`` are the leaves' values; kinds from L on are branchings, of which ``example[U]``
    is one each. ``of_branching[B]`` and ``behind[O]`` are kinds, ``height[L + U]`` theirs.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.owner = np.repeat(np.arange(len(choices.node)), choices.width)
        inner = np.flatnonzero(choices.leads_to >= 0)
        leaf = choices.leads_to < 0
        self.tall = self._heights(inner)
        self.levels, level = np.unique(choices.value[leaf], return_inverse=True)
        self.behind = np.zeros(len(choices.child), dtype=np.int64)
        self.behind[leaf] = level
        self.of_branching = np.zeros(len(choices.node), dtype=np.int64)
        above = np.full(len(choices.node), -1, dtype=np.int64)
        above[choices.leads_to[inner]] = inner
        known, examples = len(self.levels), []
        for height in range(1, int(self.tall.max(initial=0)) + 1):
            members = np.flatnonzero(self.tall == height)
            width = choices.width[members]
            rank = np.arange(int(width.max()))[:, None]
            option = np.where(rank < width, choices.offsets[members] + rank, 0)
            key = combine(*np.where(rank < width, self.behind[option], -1))
            _, first, twin = np.unique(key, return_index=True, return_inverse=True)
            self.of_branching[members] = known + twin
            mine = above[members]
            self.behind[mine[mine >= 0]] = known + twin[mine >= 0]
            examples.append(members[first])
            known += len(first)
        self.example = np.concatenate([np.empty(0, dtype=np.int64), *examples])
        self.height = np.concatenate(
            (np.zeros(len(self.levels), dtype=np.int64), self.tall[self.example])
        )

    def _heights(self, inner: IntArray) -> IntArray:
        below, owner = self.choices.leads_to[inner], self.owner[inner]
        height = np.ones(len(self.choices.node), dtype=np.int64)
        while True:
            raised = height.copy()
            np.maximum.at(raised, owner, height[below] + 1)
            if np.array_equal(raised, height):
                return height
            height = raised
