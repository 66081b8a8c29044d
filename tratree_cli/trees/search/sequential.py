"""Eq. 7 as the paper writes it: select, descend to a leaf, back up; one tree, in plain Python.

A search of a big tree visits a small part of it, so nothing here ever looks at a whole tree: what a
node offers is read when a rollout first gets there, and chains without a choice are passed in one
go. It suits big trees, and few of them; ``batched`` is faster for many small ones.
Both give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tratree_cli.trees.forest import Forest
from tratree_cli.trees.search.ucb import SelectionRule


@dataclass(slots=True)
class Leaf:
    """Where trajectories end: ``value`` is their mean G."""

    value: float


@dataclass(slots=True)
class Chain:
    """Nodes without a choice: ``nodes``, then those at ``begin:end`` of ``forest.step_node``.

    The second part holds the nodes of a single trajectory; it is only read when needed.
    """

    nodes: list[int]
    begin: int = 0
    end: int = 0

    def last(self, forest: Forest) -> int:
        """The node at the lower end."""
        return int(forest.step_node[self.end - 1]) if self.end > self.begin else self.nodes[-1]


@dataclass(slots=True)
class DecisionPoint:
    """A node with a choice; one entry per option, in insertion order.

    ``child`` is -1 for the virtual stop leaf. The other lists grow as options are first visited:
    ``below`` is what follows at the end of an option's chain, ``chain`` the nodes from the child to
    it; ``count``, ``reward``, ``mean`` and ``highest`` are c_M, r_M, r_M / c_M and the highest
    return.
    """

    node: int
    child: list[int]
    visits: int = 0
    count: list[int] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    highest: list[float] = field(default_factory=list)
    below: list[Leaf | DecisionPoint] = field(default_factory=list)
    chain: list[Chain] = field(default_factory=list)


@dataclass(slots=True)
class SearchedTree:
    """A searched tree: its ``root`` chain and what is below it; the sum of all returns."""

    chain: Chain
    root: Leaf | DecisionPoint
    returned: float


def search_tree(forest: Forest, tree: int, rollouts: int, rule: SelectionRule) -> SearchedTree:
    """Search one tree that has trajectories; ``rule`` chooses among visited options."""
    nodes = _LazyForest(forest)
    chain, root = nodes.follow_chain(int(forest.tree_offsets[tree]))
    returned = 0.0
    for _ in range(rollouts):
        path, value = _descend(root, nodes, rule)
        _back_up(path, value)
        returned += value
    return SearchedTree(chain, root, returned)


def _descend(
    root: Leaf | DecisionPoint, nodes: _LazyForest, rule: SelectionRule
) -> tuple[list[tuple[DecisionPoint, int]], float]:
    """Descend from the root to a leaf; the choices made and the leaf's value."""
    path: list[tuple[DecisionPoint, int]] = []
    at = root
    while isinstance(at, DecisionPoint):
        option = _select(at, nodes, rule)
        path.append((at, option))
        at = at.below[option]
    return path, at.value


def _select(point: DecisionPoint, nodes: _LazyForest, rule: SelectionRule) -> int:
    """Unvisited options first, in insertion order; then the one that ``rule`` selects."""
    if point.visits < len(point.child):
        nodes.open_next(point)
        return point.visits
    return rule(point.mean, point.count, point.visits)


def _back_up(path: list[tuple[DecisionPoint, int]], value: float) -> None:
    """Add one return to every choice of the path."""
    for point, option in path:
        point.visits += 1
        count = point.count[option] + 1
        reward = point.reward[option] + value
        point.count[option] = count
        point.reward[option] = reward
        point.mean[option] = reward / count
        if value > point.highest[option]:
            point.highest[option] = value


class _LazyForest:
    """The nodes of a forest, read one by one when a rollout gets there."""

    def __init__(self, forest: Forest) -> None:
        self.forest = forest
        self.child_count = forest.child_count.item
        self.first_child = forest.first_child.item
        self.endings = forest.endings.item
        self.visits = forest.visits.item

    def follow_chain(self, node: int) -> tuple[Chain, Leaf | DecisionPoint]:
        """Follow the chain from ``node``; what follows at its end is not opened yet."""
        chain = [node]
        while True:
            if self.visits(node) == 1:
                # One trajectory: its steps give the nodes.
                forest, trajectory = self.forest, self.forest.first.item(node)
                if trajectory >= 0:
                    steps = forest.columns.offsets
                    begin = steps.item(trajectory) + forest.depth.item(node)
                    tail = Chain(chain, begin, steps.item(trajectory + 1))
                    return tail, Leaf(forest.columns.score.item(trajectory))
            children, endings = self.child_count(node), self.endings(node)
            if not children:
                return Chain(chain), Leaf(self.forest.total_reward.item(node) / endings)
            if children > 1 or endings:
                return Chain(chain), DecisionPoint(node, self._options(node, children, endings))
            node = self.first_child(node)
            chain.append(node)

    def open_next(self, point: DecisionPoint) -> None:
        """Read what is below the first option that was not visited."""
        child = point.child[len(point.count)]
        below: Leaf | DecisionPoint
        if child < 0:
            stop = self.forest.total_reward.item(point.node) / self.endings(point.node)
            chain, below = Chain([]), Leaf(stop)
        else:
            chain, below = self.follow_chain(child)
        point.count.append(0)
        point.reward.append(0.0)
        point.mean.append(0.0)
        point.highest.append(-np.inf)
        point.below.append(below)
        point.chain.append(chain)

    def _options(self, node: int, children: int, endings: int) -> list[int]:
        first = self.first_child(node)
        options = list(range(first, first + children))
        if endings:
            # The stop leaf stands where its first trajectory was inserted; children stand in the
            # order in which theirs were.
            ending = self.forest.first_ending.item(node)
            earlier = np.searchsorted(self.forest.first[first : first + children], ending)
            options.insert(int(earlier), -1)
        return options
