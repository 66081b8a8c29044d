"""The method written plainly, one trajectory at a time: what the columns must equal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from tratree_cli.trees.columns import Columns
from tratree_cli.trees.search.ucb import log_table

Cosine = Callable[[int, int], float]


@dataclass
class Node:
    action: int
    observation: int
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    visits: int = 0
    reward: float = 0.0
    endings: int = 0
    total_reward: float = 0.0
    order: list[object] = field(default_factory=list)
    count: int = 0
    returned: float = 0.0
    highest: float = -np.inf
    stop: Node | None = None
    trajectories: list[int] = field(default_factory=list)
    first: int = -1

    def passing(self) -> list[int]:
        """The trajectories that pass through here or end here."""
        below = [t for child in self.children for t in child.passing()]
        return [*self.trajectories, *below]


def build(columns: Columns, cosine: Cosine | None = None, threshold: float = 2.0) -> list[Node]:
    """Insert the counted trajectories one by one, as section 3.2 tells it."""
    roots = [Node(-2, -1) for _ in columns.tasks]
    for trajectory in range(len(columns)):
        if not columns.counted[trajectory]:
            continue
        node = roots[columns.task[trajectory]]
        score = float(columns.score[trajectory])
        node.visits += 1
        node.reward += score
        span = columns.span(trajectory)
        for step in range(span.start, span.stop):
            node = _child(
                node,
                int(columns.observations[step]),
                int(columns.actions[step]),
                cosine,
                threshold,
                trajectory,
            )
            node.visits += 1
            node.reward += score
        node.endings += 1
        node.total_reward += score
        node.trajectories.append(trajectory)
    return roots


def _child(
    parent: Node,
    observation: int,
    action: int,
    cosine: Cosine | None,
    threshold: float,
    trajectory: int,
) -> Node:
    same = [child for child in parent.children if child.action == action]
    for child in same:
        if observation in child.seen:
            return child
    if cosine is not None and same:
        values = [cosine(child.observation, observation) for child in same]
        best = int(np.argmax(values))
        if values[best] >= threshold:
            same[best].seen.add(observation)
            return same[best]
    child = Node(action, observation, parent, seen={observation}, first=trajectory)
    parent.children.append(child)
    return child


def search(
    columns: Columns,
    root: Node,
    rollouts: int,
    gamma: float,
    select: str = "mean",
    walks: int = 1,
) -> Node:
    """Eq. 7 on linked nodes; returns the leaf (or stop leaf) at which e* ends.

    e* ends only where at least ``walks`` trajectories do, and where nothing is walked so often at
    the best trajectory's leaf.
    """
    logs = log_table(rollouts)
    prepare(root)
    for _ in range(rollouts):
        path = [root]
        while path[-1].order:
            path.append(_choose(path[-1], gamma, logs))
        leaf = path[-1]
        value = leaf.total_reward / leaf.endings
        for node in path:
            node.count += 1
            node.returned += value
            node.highest = max(node.highest, value)
    found = _read(columns, root, select, lambda node: _walked(node, walks))
    if found is None:
        lucky = best_of(columns, root.passing())
        found = _read(columns, root, "any", lambda node: lucky in node.passing())
    assert found is not None
    return found


def _read(
    columns: Columns, node: Node, select: str, allowed: Callable[[Node], bool]
) -> Node | None:
    """The leaf that the greedy reading ends at; None where no visited option is allowed."""
    while node.order:
        merits = [_merit(child, select) if allowed(child) else -np.inf for child in node.order]
        highest = max(merits)
        if highest == -np.inf:
            return None
        equal = [c for c, merit in zip(node.order, merits, strict=True) if merit == highest]
        best = best_of(columns, [t for child in equal for t in child.passing()])
        (node,) = (child for child in equal if best in child.passing())
    return node


def prepare(root: Node) -> None:
    """Give every inner node its options: the children, and a stop leaf where some end."""
    pending = [root]
    while pending:
        node = pending.pop()
        node.order = list(node.children)
        if node.children and node.endings:
            node.stop = Node(-3, -1, node, first=node.trajectories[0])
            node.stop.endings = node.endings
            node.stop.total_reward = node.total_reward
            node.stop.trajectories = node.trajectories
            node.order.append(node.stop)
            node.order.sort(key=lambda option: option.first)
        pending.extend(node.children)


def _choose(node: Node, gamma: float, logs: np.ndarray) -> Node:
    best, highest = None, -np.inf
    for child in node.order:
        if child.count == 0:
            return child
        mean = np.float64(child.returned) / np.float64(child.count)
        bound = mean + gamma * np.sqrt(logs[node.count] / np.float64(child.count))
        if bound > highest:
            best, highest = child, bound
    assert best is not None
    return best


def _merit(node: Node, select: str) -> float:
    if select == "any":
        return 0.0
    if not node.count:
        return -np.inf
    return {"mean": node.returned / node.count, "visits": node.count, "max": node.highest}[select]


def _walked(node: Node, walks: int) -> bool:
    """Whether so many trajectories end at one leaf here or further down."""
    return node.endings >= walks or any(_walked(child, walks) for child in node.children)


def best_of(columns: Columns, trajectories: Sequence[int]) -> int:
    """The highest G, then no ineffective step, then the fewest steps, then the first."""

    def rank(trajectory: int) -> tuple[float, bool, int, int]:
        span = columns.span(trajectory)
        steps = span.stop - span.start
        ineffective = not all(columns.valid[span])
        return -float(columns.score[trajectory]), ineffective, steps, trajectory

    return min(trajectories, key=rank)


def breadth_first(root: Node) -> list[Node]:
    nodes, position = [root], 0
    while position < len(nodes):
        nodes.extend(nodes[position].children)
        position += 1
    return nodes
