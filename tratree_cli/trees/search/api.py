"""Monte Carlo tree search over a static forest (paper, section 3.2, Eq. 7).

One rollout descends from a root to a leaf: at each decision point the first unvisited option in
insertion order, else the one with the highest UCB, ties to the lower. The leaf returns the mean G
of the trajectories that end there, and the options on the path are updated. Nothing is random. e*
is then read off from the root down; among options of equal merit it follows the better recorded
trajectory (``trees.trajectory_order``). Many
small trees are searched together as arrays (``batched``), others one by one (``sequential``, the
readable form); both give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tratree_cli.trees.columns import BoolArray, FloatArray, IntArray
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.search.batched import search_together
from tratree_cli.trees.search.decision_points import decision_points
from tratree_cli.trees.search.node_statistics import (
    SELECTIONS,
    NodeStatistics,
    Select,
    greedy_leaves,
)
from tratree_cli.trees.search.sequential import search_tree
from tratree_cli.trees.search.ucb import ucb_rule
from tratree_cli.trees.search.walked_leaves import WalkedLeaves
from tratree_cli.trees.trajectory_order import best_last

_SMALL = 128
"""A tree of at most so many trajectories is small (it has fewer decision points than that)."""
_MANY = 16
"""From so many small trees on they are searched together."""
_ROLLOUTS = 1000
"""Up to so many rollouts: searching together keeps a table of all pairs of them."""


@dataclass(frozen=True)
class SearchResult:
    """Statistics of every node, and the path chosen in every tree.

    ``visits[N]`` is c_M and ``reward[N]`` r_M of every node of the forest; ``stop_visits[N]`` and
    ``stop_reward[N]`` those of its virtual stop leaf. ``best_leaf[K]`` is the node at which e*
    ends and ``best_trajectory[K]`` the recorded trajectory it is rendered from (``best_last`` of
    those ending there); both are -1 for trees without trajectories.
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
        """r_M / c_M per node, ``[N]``; NaN without visits."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.visits > 0, self.reward / self.visits, np.nan)

    def best_path(self, tree: int) -> list[int]:
        """The nodes of e* from the root's child to its leaf."""
        path: list[int] = []
        node = int(self.best_leaf[tree])
        while node >= 0 and self.forest.parent[node] >= 0:
            path.append(node)
            node = int(self.forest.parent[node])
        return path[::-1]


def search(
    forest: Forest,
    rollouts: int = 100,
    gamma: float = 1.41,
    select: Select = "mean",
    min_walks: int = 1,
) -> SearchResult:
    """Search every tree with ``rollouts`` rollouts and exploration weight ``gamma``.

    e* is read off greedily by ``select``: the highest r_M / c_M, the most visits, or the highest
    return that ever came back through the option. Above 1, ``min_walks`` leads e* only to leaves
    at which so many trajectories end; where the reading meets none, the tree gives its best
    observed trajectory.
    Raises ValueError for parameters out of range.
    """
    if rollouts < 1:
        raise ValueError(f"a search needs at least one rollout per tree, not {rollouts}")
    if select not in SELECTIONS:
        raise ValueError(f"there is no selection '{select}'; there are {', '.join(SELECTIONS)}")
    walked = WalkedLeaves.of(forest, min_walks) if min_walks > 1 else None
    statistics = NodeStatistics(forest, walked)
    together = _small_trees(forest, rollouts)
    if together.any():
        points = decision_points(forest, together)
        top = np.where(together, points.point[points.bottom[forest.roots]], -1)
        counts = search_together(points, top[top >= 0], rollouts, gamma, keep_best=select == "max")
        statistics.leaf[:] = greedy_leaves(statistics, points, counts, top, select)
        statistics.spread(points, counts, top, together, rollouts)
    rule = ucb_rule(rollouts, float(gamma))
    for tree in np.flatnonzero(~together & (forest.visits[forest.roots] > 0)).tolist():
        statistics.enter(tree, search_tree(forest, tree, rollouts, rule), select, rollouts)
    if walked is not None:
        luckiest = best_observed(forest)
        bare = np.flatnonzero((luckiest >= 0) & (statistics.leaf < 0))
        statistics.leaf[bare] = forest.end_node[luckiest[bare]]
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


def _small_trees(forest: Forest, rollouts: int) -> BoolArray:
    """Which trees are small; none, where there are few of them or very many rollouts, ``[K]``."""
    trajectories = forest.visits[forest.roots]
    small = np.logical_and(trajectories > 0, trajectories <= _SMALL)
    if np.count_nonzero(small) < _MANY or rollouts > _ROLLOUTS:
        small[:] = False
    return small


def endings_of(forest: Forest, leaf: IntArray) -> IntArray:
    """Of the trajectories ending at each of these nodes the best (``best_last``).

    -1 where a node is -1.
    """
    end_node = forest.end_node
    wanted = np.zeros(len(forest), dtype=np.bool_)
    wanted[leaf[leaf >= 0]] = True
    ending = np.flatnonzero(forest.columns.counted)
    ending = ending[wanted[end_node[ending]]]
    order = best_last(forest.columns, ending)
    places = np.unique(leaf)
    best = np.full(len(places), -1, dtype=np.int64)
    best[np.searchsorted(places, end_node[order])] = order  # the last one stays
    return np.where(leaf >= 0, best[np.searchsorted(places, leaf)], -1)


def best_observed(forest: Forest) -> IntArray:
    """The best trajectory of every tree (``best_last``), ``[K]``; -1: none."""
    best = np.full(forest.trees, -1, dtype=np.int64)
    order = best_last(forest.columns, np.flatnonzero(forest.columns.counted))
    best[forest.columns.task[order]] = order
    return best
