"""Monte Carlo tree search over a static forest (paper, section 3.2, Eq. 7).

One rollout walks from a root to a leaf: at each branching the first unvisited option in insertion
order, else the one with the highest UCB, ties to the lower. The leaf returns the mean G of the
trajectories that end there, and the way up is updated. Every tree of the forest takes its n-th
rollout at the same time, so a rollout costs a few array operations for all trees together. Nothing
is random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from tratree_cli.trees.columns import FloatArray, IntArray
from tratree_cli.trees.compress import STOP, Choices, compress
from tratree_cli.trees.descent import descend, first_maximum
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.tally import Tally
from tratree_cli.trees.visits import play

Select: TypeAlias = Literal["mean", "visits", "max"]
_SMALL_TREE = 32
"""Branchings per tree up to which playing all visits is faster than walking down."""
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
    choices = compress(forest)
    top = choices.branching[choices.bottom[forest.roots]]
    small = len(choices.node) <= _SMALL_TREE * np.count_nonzero(top >= 0)
    search_space = (choices, top[top >= 0], rollouts, gamma, log_table(rollouts))
    tally = play(*search_space, keep_best=select == "max") if small else descend(*search_space)
    leaf = _greedy(forest, choices, tally, top, select)
    visits, reward, stop_visits, stop_reward = _spread(forest, choices, tally, top, rollouts)
    return SearchResult(
        forest=forest,
        rollouts=rollouts,
        gamma=gamma,
        select=select,
        visits=visits,
        reward=reward,
        stop_visits=stop_visits,
        stop_reward=stop_reward,
        best_leaf=leaf,
        best_trajectory=np.where(leaf >= 0, best_ending(forest)[leaf], -1),
    )


def _greedy(
    forest: Forest, choices: Choices, tally: Tally, top: IntArray, select: Select
) -> IntArray:
    """The node at which the greedy walk from each root ends, ``[K]``; -1 for empty trees."""
    visited = np.maximum(tally.count, 1)
    merits = {"mean": tally.reward / visited, "visits": tally.count, "max": tally.best}
    merit = np.where(tally.count > 0, merits[select], -np.inf)
    leaf: IntArray = np.where(forest.visits[forest.roots] > 0, choices.bottom[forest.roots], -1)
    trees = np.flatnonzero(top >= 0)
    at = top[trees]
    while len(at):
        width = choices.width[at]
        ends = np.cumsum(width)
        flat = np.repeat(choices.offsets[at] - (ends - width), width) + np.arange(ends[-1])
        option = flat[first_maximum(merit[flat], ends - width, width)]
        child = choices.child[option]
        leaf[trees] = np.where(child == STOP, choices.node[at], choices.bottom[child])
        going = choices.leads_to[option] >= 0
        trees, at = trees[going], choices.leads_to[option][going]
    return leaf


def _spread(
    forest: Forest, choices: Choices, tally: Tally, top: IntArray, rollouts: int
) -> tuple[IntArray, FloatArray, IntArray, FloatArray]:
    """Copy the options' statistics to every node of the chains below them."""
    size = len(forest)
    visits = np.zeros(size, dtype=np.int64)
    reward = np.zeros(size)
    stop_visits = np.zeros(size, dtype=np.int64)
    stop_reward = np.zeros(size)

    stop = choices.child == STOP
    owner = np.repeat(choices.node, choices.width)
    stop_visits[owner[stop]] = tally.count[stop]
    stop_reward[owner[stop]] = tally.reward[stop]
    visits[choices.child[~stop]] = tally.count[~stop]
    reward[choices.child[~stop]] = tally.reward[~stop]
    grown = forest.visits[forest.roots] > 0
    visits[forest.roots[grown]] = rollouts
    reward[forest.roots[top >= 0]] = tally.returned[top[top >= 0]]
    # A tree without a choice returns the same value every time.
    alone = forest.roots[grown & (top < 0)]
    leaf = choices.bottom[alone]
    constant = forest.total_reward[leaf] / forest.endings[leaf]
    reward[alone] = np.cumsum(np.tile(constant, (rollouts, 1)), axis=0)[-1]

    head = _heads(forest, choices)
    return visits[head], reward[head], stop_visits, stop_reward


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


def best_ending(forest: Forest) -> IntArray:
    """Of the trajectories ending at each node the one with the highest G, then the first, ``[N]``.

    -1 where none ends.
    """
    best = np.full(len(forest), -1, dtype=np.int64)
    counted = np.flatnonzero(forest.columns.counted)
    order = np.lexsort((-counted, forest.columns.score[counted]))
    best[forest.end_node[counted[order]]] = counted[order]
    return best


def best_observed(forest: Forest) -> IntArray:
    """The trajectory with the highest G of every tree, then the first, ``[K]``; -1: none."""
    best = np.full(forest.trees, -1, dtype=np.int64)
    counted = np.flatnonzero(forest.columns.counted)
    order = np.lexsort((-counted, forest.columns.score[counted]))
    best[forest.columns.task[counted[order]]] = counted[order]
    return best
