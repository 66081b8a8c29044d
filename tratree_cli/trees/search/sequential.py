"""The search as it is told: from the root of one tree to a leaf, again and again, in plain Python.

A search of a big tree visits a small part of it, so nothing here ever looks at a whole tree: what a
node offers is found out when a rollout first gets there, and chains without a choice are passed in
one go. This is the way for big trees and for few of them; ``visits`` is faster for many small ones.
Both give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from tratree_cli.trees.forest import Forest


@dataclass(slots=True)
class Leaf:
    """Where trajectories end: ``value`` is their mean G."""

    value: float


@dataclass(slots=True)
class Chain:
    """Nodes without a choice: ``nodes``, then those at ``begin:end`` of ``forest.step_node``.

    The second part is where a single trajectory goes; it is only read when it is asked for.
    """

    nodes: list[int]
    begin: int = 0
    end: int = 0

    def last(self, forest: Forest) -> int:
        """The node at the lower end."""
        return int(forest.step_node[self.end - 1]) if self.end > self.begin else self.nodes[-1]


@dataclass(slots=True)
class Branching:
    """A node with a choice; one entry per option, in insertion order.

    ``child`` is -1 for the virtual stop leaf. ``below`` is what lies at the end of an option's
    chain (None: nobody was there), ``chain`` the nodes from the child to it.
    """

    node: int
    child: list[int]
    seen: int = 0
    count: list[int] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    highest: list[float] = field(default_factory=list)
    below: list[Leaf | Branching] = field(default_factory=list)
    chain: list[Chain] = field(default_factory=list)


@dataclass(slots=True)
class Walked:
    """A searched tree: its ``root`` chain and what lies below it; the sum of all returns."""

    chain: Chain
    root: Leaf | Branching
    returned: float


def walk(forest: Forest, tree: int, rollouts: int, gamma: float, logs: list[float]) -> Walked:
    """Search one tree that has trajectories; ``logs[n]`` is log n (Eq. 7)."""
    ground = _Ground(forest)
    chain, root = ground.descend(int(forest.tree_offsets[tree]))
    returned = 0.0
    for _ in range(rollouts):
        at = root
        way: list[tuple[Branching, int]] = []
        while isinstance(at, Branching):
            seen = at.seen
            if seen < len(at.child):  # unvisited options come first, in insertion order
                option = seen
                ground.open(at)
            else:
                log = logs[seen]
                bounds = [
                    mean + gamma * sqrt(log / count)
                    for mean, count in zip(at.mean, at.count, strict=True)
                ]
                option = bounds.index(max(bounds))
            way.append((at, option))
            at = at.below[option]
        value = at.value
        returned += value
        for branching, option in way:
            branching.seen += 1
            count = branching.count[option] + 1
            reward = branching.reward[option] + value
            branching.count[option] = count
            branching.reward[option] = reward
            branching.mean[option] = reward / count
            if value > branching.highest[option]:
                branching.highest[option] = value
    return Walked(chain, root, returned)


class _Ground:
    """What the nodes of a forest offer, looked up one by one."""

    def __init__(self, forest: Forest) -> None:
        self.forest = forest
        self.child_count = forest.child_count.item
        self.first_child = forest.first_child.item
        self.endings = forest.endings.item
        self.visits = forest.visits.item

    def descend(self, node: int) -> tuple[Chain, Leaf | Branching]:
        """Follow the chain from ``node``; what lies at its end is not opened yet."""
        chain = [node]
        while True:
            if self.visits(node) == 1:
                # One trajectory: where it goes is written down.
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
                return Chain(chain), Branching(node, self._options(node, children, endings))
            node = self.first_child(node)
            chain.append(node)

    def open(self, branching: Branching) -> None:
        """Find out what lies below the first option that nobody has tried."""
        child = branching.child[len(branching.count)]
        node = branching.node
        below: Leaf | Branching
        if child < 0:
            chain, below = Chain([]), Leaf(self.forest.total_reward.item(node) / self.endings(node))
        else:
            chain, below = self.descend(child)
        branching.count.append(0)
        branching.reward.append(0.0)
        branching.mean.append(0.0)
        branching.highest.append(-np.inf)
        branching.below.append(below)
        branching.chain.append(chain)

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
