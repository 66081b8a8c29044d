"""Monte Carlo tree search over a static forest (paper, section 3.2, Eq. 7).

One rollout walks from a root to a leaf: at each branching the first unvisited option in insertion
order, else the one with the highest UCB, ties to the lower. The leaf returns the mean G of the
trajectories that end there, and the way up is updated. Nothing is random. Many small trees are
played together as arrays (``visits``), others are walked one by one (``walk``); both give the same
bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from tratree_cli.trees.columns import BoolArray, FloatArray, IntArray
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.search.batched import play
from tratree_cli.trees.search.decision_points import STOP, Choices, compress
from tratree_cli.trees.search.search_counts import Tally
from tratree_cli.trees.search.sequential import Branching, Walked, walk

Select: TypeAlias = Literal["mean", "visits", "max"]
_SMALL = 128
"""A tree of at most so many trajectories is small (it has fewer branchings than that)."""
_MANY = 16
"""From so many small trees on they are played together."""
_ROLLOUTS = 1000
"""Up to so many rollouts: playing keeps a table of all pairs of them."""
SELECTIONS: tuple[Select, ...] = ("mean", "visits", "max")


def log_table(rollouts: int) -> FloatArray:
    """``log n`` for n = 0 … rollouts; one table, so that every implementation reads equal bits."""
    with np.errstate(divide="ignore"):
        return np.log(np.arange(rollouts + 1, dtype=np.float64))


@dataclass(frozen=True)
class SearchResult:
    """What the search knows about every node, and the path it chose in every tree.

    ``visits[N]`` is c_M and ``reward[N]`` r_M of every node of the forest; ``stop_visits[N]`` and
    ``stop_reward[N]`` those of its virtual stop leaf. ``best_leaf[K]`` is the node at which e*
    ends and ``best_trajectory[K]`` the recorded trajectory it is rendered from (highest G of those
    ending there, then the first inserted); both are -1 for trees without trajectories.
    """

    forest: Forest
    rollouts: int
    gamma: float
    select: Select
    visits: IntArray
    reward: FloatArray
    stop_visits: IntArray
    stop_reward: FloatArray
    best_leaf: IntArray
    best_trajectory: IntArray

    @property
    def mean(self) -> FloatArray:
        """r_M / c_M per node, ``[N]``; NaN where the search never came."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.visits > 0, self.reward / self.visits, np.nan)

    def ucb(self, node: int) -> FloatArray:
        """UCB of the children of ``node`` after the last rollout (Eq. 7); infinite: unvisited."""
        children = slice(self.forest.children(node).start, self.forest.children(node).stop)
        with np.errstate(invalid="ignore", divide="ignore"):
            count = self.visits[children].astype(np.float64)
            value = self.reward[children] / count
            value = value + self.gamma * np.sqrt(np.log(self.visits[node]) / count)
        return np.where(count > 0, value, np.inf)

    def best_path(self, tree: int) -> list[int]:
        """The nodes of e* from the root's child to its leaf."""
        path: list[int] = []
        node = int(self.best_leaf[tree])
        while node >= 0 and self.forest.parent[node] >= 0:
            path.append(node)
            node = int(self.forest.parent[node])
        return path[::-1]


def search(
    forest: Forest, rollouts: int = 100, gamma: float = 1.41, select: Select = "mean"
) -> SearchResult:
    """Search every tree with ``rollouts`` rollouts and exploration weight ``gamma``.

    e* is read off greedily by ``select``: the highest r_M / c_M, the most visits, or the highest
    return that ever came back through the option. Raises ValueError for parameters out of range.
    """
    if rollouts < 1:
        raise ValueError(f"a search needs at least one rollout per tree, not {rollouts}")
    if select not in SELECTIONS:
        raise ValueError(f"there is no selection '{select}'; there are {', '.join(SELECTIONS)}")
    logs = log_table(rollouts)
    statistics = _Statistics(forest)
    together = _played_together(forest, rollouts)
    if together.any():
        choices = compress(forest, together)
        top = np.where(together, choices.branching[choices.bottom[forest.roots]], -1)
        tally = play(choices, top[top >= 0], rollouts, gamma, logs, keep_best=select == "max")
        _greedy(forest, choices, tally, top, select, statistics.leaf)
        statistics.spread(choices, tally, top, together, rollouts)
    for tree in np.flatnonzero(~together & (forest.visits[forest.roots] > 0)).tolist():
        walked = walk(forest, tree, rollouts, float(gamma), logs.tolist())
        statistics.enter(tree, walked, select, rollouts)
    return SearchResult(
        forest=forest,
        rollouts=rollouts,
        gamma=gamma,
        select=select,
        visits=statistics.visits,
        reward=statistics.reward,
        stop_visits=statistics.stop_visits,
        stop_reward=statistics.stop_reward,
        best_leaf=statistics.leaf,
        best_trajectory=endings_of(forest, statistics.leaf),
    )


def _played_together(forest: Forest, rollouts: int) -> BoolArray:
    """Which trees are small; none, where there are few of them or very many rollouts, ``[K]``."""
    trajectories = forest.visits[forest.roots]
    small = np.logical_and(trajectories > 0, trajectories <= _SMALL)
    if np.count_nonzero(small) < _MANY or rollouts > _ROLLOUTS:
        small[:] = False
    return small


def _greedy(
    forest: Forest, choices: Choices, tally: Tally, top: IntArray, select: Select, leaf: IntArray
) -> None:
    """Set ``leaf[K]`` to where the greedy walk from each root in ``top`` (-1: no choice) ends."""
    visited = np.maximum(tally.count, 1)
    merits = {"mean": tally.reward / visited, "visits": tally.count, "max": tally.best}
    merit = np.where(tally.count > 0, merits[select], -np.inf)
    leaf[:] = choices.bottom[forest.roots]
    trees = np.flatnonzero(top >= 0)
    at = top[trees]
    while len(at):
        width = choices.width[at]
        ends = np.cumsum(width)
        flat = np.repeat(choices.offsets[at] - (ends - width), width) + np.arange(ends[-1])
        option = flat[_first_maximum(merit[flat], ends - width, width)]
        child = choices.child[option]
        leaf[trees] = np.where(child == STOP, choices.node[at], choices.bottom[child])
        going = choices.leads_to[option] >= 0
        trees, at = trees[going], choices.leads_to[option][going]
    leaf[forest.visits[forest.roots] == 0] = -1


def _first_maximum(values: FloatArray, begins: IntArray, width: IntArray) -> IntArray:
    """Where the first highest value of each segment lies in ``values``."""
    highest = np.repeat(np.maximum.reduceat(values, begins), width)
    hits = np.flatnonzero(values == highest)
    return hits[np.searchsorted(hits, begins)]


class _Statistics:
    """What is known about every node, filled in by either way of searching."""

    def __init__(self, forest: Forest) -> None:
        self.forest = forest
        # Pages that nobody writes to cost nothing: a big tree is mostly left alone.
        self.visits, self.stop_visits = np.zeros((2, len(forest)), dtype=np.int64)
        self.reward, self.stop_reward = np.zeros((2, len(forest)))
        self.leaf = np.full(forest.trees, -1, dtype=np.int64)

    def spread(
        self, choices: Choices, tally: Tally, top: IntArray, together: BoolArray, rollouts: int
    ) -> None:
        """Copy the options' statistics to every node of the chains below them."""
        forest = self.forest
        stop = choices.child == STOP
        owner = np.repeat(choices.node, choices.width)
        self.stop_visits[owner[stop]] = tally.count[stop]
        self.stop_reward[owner[stop]] = tally.reward[stop]
        self.visits[choices.child[~stop]] = tally.count[~stop]
        self.reward[choices.child[~stop]] = tally.reward[~stop]
        self.visits[forest.roots[together]] = rollouts
        self.reward[forest.roots[top >= 0]] = tally.returned[top[top >= 0]]
        # A tree without a choice returns the same value every time.
        alone = forest.roots[together & (top < 0)]
        leaf = choices.bottom[alone]
        constant = forest.total_reward[leaf] / forest.endings[leaf]
        self.reward[alone] = np.add.accumulate(np.tile(constant, (rollouts, 1)), axis=0)[-1]
        head = _heads(forest, choices)
        self.visits, self.reward = self.visits[head], self.reward[head]

    def enter(self, tree: int, walked: Walked, select: Select, rollouts: int) -> None:
        """Add one tree that was walked."""
        passed = [(walked.chain, rollouts, walked.returned)]
        pending = [walked.root] if isinstance(walked.root, Branching) else []
        while pending:
            at = pending.pop()
            for option, chain in enumerate(at.chain):
                if at.child[option] < 0:
                    self.stop_visits[at.node] = at.count[option]
                    self.stop_reward[at.node] = at.reward[option]
                else:
                    passed.append((chain, at.count[option], at.reward[option]))
            pending += [below for below in at.below if isinstance(below, Branching)]
        step_node = self.forest.step_node
        ways: list[IntArray] = [np.array(chain.nodes, dtype=np.int64) for chain, _, _ in passed]
        ways += [step_node[chain.begin : chain.end] for chain, _, _ in passed]
        nodes, sizes = np.concatenate(ways), [len(way) for way in ways]
        self.visits[nodes] = np.repeat([count for _, count, _ in passed] * 2, sizes)
        self.reward[nodes] = np.repeat([reward for _, _, reward in passed] * 2, sizes)
        self.leaf[tree] = _end(self.forest, walked, select)


def _end(forest: Forest, walked: Walked, select: Select) -> int:
    """The node at which the greedy walk through a walked tree ends."""
    node, at = walked.chain.last(forest), walked.root
    while isinstance(at, Branching):
        merits: dict[Select, Sequence[float]]
        merits = {"mean": at.mean, "visits": at.count, "max": at.highest}
        merit = merits[select]
        option = merit.index(max(merit))
        if at.child[option] < 0:
            return at.node
        node, at = at.chain[option].last(forest), at.below[option]
    return node


def _heads(forest: Forest, choices: Choices) -> IntArray:
    """For every node the node at or above it that holds its chain's statistics."""
    parent = forest.parent
    free = (parent < 0) | (choices.branching[parent] >= 0)
    head = np.where(free, np.arange(len(parent)), parent)
    while True:
        further = head[head]
        if np.array_equal(further, head):
            return head
        head = further


def endings_of(forest: Forest, leaf: IntArray) -> IntArray:
    """Of the trajectories ending at each of these nodes the one with the highest G, then the first.

    -1 where a node is -1.
    """
    score, end_node = forest.columns.score, forest.end_node
    wanted = np.zeros(len(forest), dtype=np.bool_)
    wanted[leaf[leaf >= 0]] = True
    ending = np.flatnonzero(forest.columns.counted)
    ending = ending[wanted[end_node[ending]]]
    order = ending[np.lexsort((-ending, score[ending]))]
    places = np.unique(leaf)
    best = np.full(len(places), -1, dtype=np.int64)
    best[np.searchsorted(places, end_node[order])] = order  # the last one, the favourite, stays
    return np.where(leaf >= 0, best[np.searchsorted(places, leaf)], -1)


def best_observed(forest: Forest) -> IntArray:
    """The trajectory with the highest G of every tree, then the first, ``[K]``; -1: none."""
    best = np.full(forest.trees, -1, dtype=np.int64)
    counted = np.flatnonzero(forest.columns.counted)
    order = np.lexsort((-counted, forest.columns.score[counted]))
    best[forest.columns.task[counted[order]]] = counted[order]
    return best
