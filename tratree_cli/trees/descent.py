"""The search as it is told: every tree walks from its root to a leaf, all trees in step.

A rollout costs a few array operations per level, whatever the number of trees. This is the way for
big trees, of which a search visits only a small part; ``visits`` is faster for many small ones.
Both give the same bits.
"""

from __future__ import annotations

import numpy as np

from tratree_cli.trees.columns import FloatArray, IntArray
from tratree_cli.trees.compress import Choices
from tratree_cli.trees.tally import Tally


def descend(
    choices: Choices, top: IntArray, rollouts: int, gamma: float, logs: FloatArray
) -> Tally:
    """Give every branching in ``top`` (one a tree) its ``rollouts`` visits (Eq. 7)."""
    walk = _Walk(choices, gamma, logs)
    for _ in range(rollouts):
        walk.rollout(top)
    return Tally(walk.count.astype(np.int64), walk.reward, walk.best, walk.returned)


class _Walk:
    """The statistics of all options of all branchings while rollouts come in."""

    def __init__(self, choices: Choices, gamma: float, logs: FloatArray) -> None:
        options = len(choices.child)
        self.choices = choices
        self.gamma = gamma
        self.logs = logs
        self.width = choices.width
        self.start = choices.offsets[:-1]
        self.seen = np.zeros(len(choices.node), dtype=np.int64)
        self.returned = np.zeros(len(choices.node))
        self.count = np.zeros(options)
        self.reward = np.zeros(options)
        self.mean = np.zeros(options)
        self.best = np.full(options, -np.inf)

    def rollout(self, top: IntArray) -> None:
        choices = self.choices
        trees, at = np.arange(len(top)), top
        value = np.zeros(len(top))
        walked_trees, walked_options, walked_nodes = [], [], []
        while len(at):
            option = self._select(at)
            walked_trees.append(trees)
            walked_options.append(option)
            walked_nodes.append(at)
            below = choices.leads_to[option]
            ended = below < 0
            value[trees[ended]] = choices.value[option[ended]]
            going = ~ended
            trees, at = trees[going], below[going]
        if not walked_trees:
            return
        # No branching is met twice in a rollout, so all levels are backed up in one go.
        option, node = np.concatenate(walked_options), np.concatenate(walked_nodes)
        value = value[np.concatenate(walked_trees)]
        self.seen[node] += 1
        self.returned[node] += value
        self.count[option] += 1.0
        self.reward[option] += value
        self.mean[option] = self.reward[option] / self.count[option]
        self.best[option] = np.maximum(self.best[option], value)

    def _select(self, at: IntArray) -> IntArray:
        seen = self.seen[at]
        width = self.width[at]
        option = self.start[at] + seen  # unvisited options come first, in insertion order
        full = np.flatnonzero(seen >= width)
        if len(full):
            option[full] = self._highest_ucb(at[full], width[full], seen[full])
        return option

    def _highest_ucb(self, at: IntArray, width: IntArray, seen: IntArray) -> IntArray:
        ends = np.cumsum(width)
        begins = ends - width
        flat = np.repeat(self.start[at] - begins, width) + np.arange(ends[-1])
        bound = np.repeat(self.logs[seen], width)
        bound /= self.count[flat]
        np.sqrt(bound, out=bound)
        bound *= self.gamma
        bound += self.mean[flat]
        return flat[first_maximum(bound, begins, width)]


def first_maximum(values: FloatArray, begins: IntArray, width: IntArray) -> IntArray:
    """Where the first highest value of each segment lies in ``values``."""
    highest = np.repeat(np.maximum.reduceat(values, begins), width)
    hits = np.flatnonzero(values == highest)
    return hits[np.searchsorted(hits, begins)]
