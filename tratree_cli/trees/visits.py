"""The search computed in another order: all visits of a branching at once, from the leaves up.

What a branching does at its n-th visit depends only on its own earlier visits and on what its
options return, never on the rest of the tree. So it can be played alone, once its options are
known: the n-th return of an option is looked up. Branchings of one height and like width play
their n-th visit together, as whole rows of an array, and branchings whose options are alike are
played once (outcomes take few values, so most small branchings have a twin). Afterwards, from the
top down, each is read off at the number of visits it really gets. Sums are added in the order of
the visits, so every bit equals what walking from root to leaf gives. The price: branchings deep in
big trees are played further than they are visited, so this is the way for many small trees
(``descent`` is the other).
"""

from __future__ import annotations

import numpy as np

from tratree_cli.trees.cells import combine
from tratree_cli.trees.columns import BoolArray, FloatArray, IntArray
from tratree_cli.trees.compress import Choices
from tratree_cli.trees.tally import Tally

_NARROW = 3
"""Branchings of up to 2³ options share rows; wider ones are told apart by powers of two."""


def play(
    choices: Choices,
    top: IntArray,
    rollouts: int,
    gamma: float,
    logs: FloatArray,
    keep_best: bool = True,
) -> Tally:
    """Give every branching in ``top`` (one a tree) its ``rollouts`` visits (Eq. 7).

    ``logs[n]`` is log n. Without ``keep_best`` the tally has no highest returns. Memory: about 24
    bytes per option, rollout and distinct branching.
    """
    returns = _Returns(len(choices.node), rollouts)
    cohorts = []
    for members in _peers(choices):
        cohort = _Cohort(choices, members, returns)
        cohort.play(returns, rollouts, gamma, logs)
        cohorts.append(cohort)

    seen = np.zeros(len(choices.node), dtype=np.int64)
    seen[top] = rollouts
    options = len(choices.child)
    tally = Tally(
        np.zeros(options, dtype=np.int64),
        np.zeros(options),
        np.full(options, -np.inf),
        np.zeros(len(choices.node)),
    )
    for cohort in reversed(cohorts):
        cohort.settle(seen, tally, keep_best)
    return tally


def _peers(choices: Choices) -> list[IntArray]:
    """Branchings of one height and like width; the lowest come first."""
    if not len(choices.node):
        return []
    owner = np.repeat(np.arange(len(choices.node)), choices.width)
    inner = np.flatnonzero(choices.leads_to >= 0)
    height = np.zeros(len(choices.node), dtype=np.int64)
    while True:
        raised = height.copy()
        np.maximum.at(raised, owner[inner], height[choices.leads_to[inner]] + 1)
        if np.array_equal(raised, height):
            break
        height = raised
    width = np.maximum(np.ceil(np.log2(choices.width)).astype(np.int64), _NARROW)
    order = np.lexsort((width, height))
    change = np.diff(height[order]) | np.diff(width[order])
    return np.split(order, np.flatnonzero(change) + 1)


class _Returns:
    """What branchings return at each of their visits; cohorts write, those above look up.

    ``kind`` numbers branchings that are alike in all they will ever do.
    """

    def __init__(self, branchings: int, rollouts: int) -> None:
        self.flat = np.empty(branchings * rollouts)
        self.used = 0
        self.first = np.zeros(branchings, dtype=np.int64)
        self.stride = np.zeros(branchings, dtype=np.int64)
        self.kind = np.zeros(branchings, dtype=np.int64)
        self.kinds = 0

    def add(self, members: IntArray, twin: IntArray, values: FloatArray) -> None:
        """``values[rollouts, U]`` of one cohort, of which ``members`` are the ``twin`` ones."""
        self.first[members] = self.used + twin
        self.stride[members] = values.shape[1]
        self.kind[members] = self.kinds + twin
        self.kinds += values.shape[1]
        self.flat[self.used : self.used + values.size] = values.ravel()
        self.used += values.size


class _Cohort:
    """M branchings of at most W options each, of which U are different: rows ``[W, U]``."""

    def __init__(self, choices: Choices, members: IntArray, returns: _Returns) -> None:
        width = choices.width[members]
        rank = np.arange(int(width.max()))[:, None]
        self.members = members
        self.real = rank < width
        self.option = np.where(self.real, choices.offsets[members] + rank, 0)
        self.leads_to = np.where(self.real, choices.leads_to[self.option], -1)
        value = np.where(self.real, choices.value[self.option], 0.0)
        inner = self.leads_to >= 0
        level = np.unique(value, return_inverse=True)[1].reshape(value.shape)
        code = np.where(inner, level.max() + 1 + returns.kind[self.leads_to], level)
        code = np.where(self.real, code, -1)
        _, first, self.twin = np.unique(combine(*code), return_index=True, return_inverse=True)
        self.exists = self.real[:, first]
        self.inner = inner[:, first]
        self.next = value[:, first]
        self.pointer = np.where(self.inner, returns.first[self.leads_to[:, first]], 0)
        self.stride = np.where(self.inner, returns.stride[self.leads_to[:, first]], 0)

    def play(self, returns: _Returns, rollouts: int, gamma: float, logs: FloatArray) -> None:
        shape = self.next.shape
        deep = bool(self.inner.any())
        if deep:
            self.next = np.where(self.inner, returns.flat[self.pointer], self.next)
        following, pointer, stride = self.next.ravel(), self.pointer.ravel(), self.stride.ravel()
        # An option that is not there looks visited once, with the worst of all returns.
        count = np.where(self.exists, 0.0, 1.0)
        reward = np.where(self.exists, 0.0, -np.inf)
        mean, bound = np.zeros(shape), np.empty(shape)
        chosen = np.zeros(shape, dtype=np.bool_)
        self.counts = np.empty((rollouts, *shape), dtype=np.int32)
        self.rewards = np.empty((rollouts, *shape))
        self.values = np.empty((rollouts, shape[1]))
        with np.errstate(divide="ignore", invalid="ignore"):
            for visit in range(rollouts):
                np.divide(reward, count, out=mean)
                np.divide(logs[visit], count, out=bound)
                np.sqrt(bound, out=bound)
                bound *= gamma
                bound += mean
                _mark_highest(bound, chosen)
                if visit < shape[0]:  # unvisited options come first, in insertion order
                    fresh = self.exists[visit]
                    chosen[:, fresh] = False
                    chosen[visit, fresh] = True
                gained = self.next * chosen
                np.add.reduce(gained, axis=0, out=self.values[visit])
                count += chosen
                reward += gained
                self.counts[visit] = count
                self.rewards[visit] = reward
                if deep and visit + 1 < rollouts:
                    moved = np.flatnonzero(chosen & self.inner)
                    there = pointer[moved] + stride[moved]
                    pointer[moved] = there
                    following[moved] = returns.flat[there]
        returns.add(self.members, self.twin, self.values)

    def settle(self, seen: IntArray, tally: Tally, keep_best: bool) -> None:
        """Read off the visits that really happen; tell the branchings below how many they get."""
        visits = seen[self.members]
        played = np.flatnonzero(visits)
        last, twin = visits[played] - 1, self.twin[played]
        totals = np.add.accumulate(self.values, axis=0)
        tally.returned[self.members[played]] = totals[last, twin]
        for rank in range(len(self.option)):
            here = self.real[rank, played]
            option = self.option[rank, played[here]]
            place = (last[here], rank, twin[here])
            count = self.counts[place]
            tally.count[option] = count
            tally.reward[option] = self.rewards[place]
            if keep_best:
                tally.best[option] = self._highest(rank)[last[here], twin[here]]
            below = self.leads_to[rank, played[here]]
            seen[below[below >= 0]] = count[below >= 0]

    def _highest(self, rank: int) -> FloatArray:
        """The highest return through one option up to each visit, ``[rollouts, U]``."""
        taken = np.diff(self.counts[:, rank], axis=0, prepend=0) > 0
        return np.maximum.accumulate(np.where(taken, self.values, -np.inf), axis=0)


def _mark_highest(bound: FloatArray, chosen: BoolArray) -> None:
    """Mark the first highest of W rows in every column."""
    if len(bound) == 2:
        np.greater_equal(bound[0], bound[1], out=chosen[0])
        np.logical_not(chosen[0], out=chosen[1])
        return
    np.equal(bound, bound.max(axis=0), out=chosen)
    free = ~chosen[0]
    for row in range(1, len(bound)):
        chosen[row] &= free
        free &= ~chosen[row]
