"""The comparison: a trajectory tree of linked Python objects, as a first version would be written.

Children are a list that is scanned for a matching step; search walks objects and computes UCB in a
loop. Inputs are the same integer columns, turned into lists before the clock starts.
"""

from __future__ import annotations

import math


class LinkedNode:
    __slots__ = (
        "action", "c", "children", "ends", "observation", "parent", "r", "total", "visits",
    )  # fmt: skip

    def __init__(self, action, observation, parent):
        self.action = action
        self.observation = observation
        self.parent = parent
        self.children = []
        self.visits = 0
        self.total = 0.0
        self.ends = 0
        self.c = 0
        self.r = 0.0


def build(tasks, trajectories):
    """``trajectories``: ``(task, [(observation, action), ...], score)``; one root per task."""
    roots = [LinkedNode(None, None, None) for _ in range(tasks)]
    for task, steps, score in trajectories:
        node = roots[task]
        node.visits += 1
        for observation, action in steps:
            for child in node.children:
                if child.action == action and child.observation == observation:
                    break
            else:
                child = LinkedNode(action, observation, node)
                node.children.append(child)
            child.visits += 1
            node = child
        node.total += score
        node.ends += 1
    return roots


def search(root, rollouts, gamma=1.41):
    for _ in range(rollouts):
        node = root
        while node.children:
            best, highest = None, -1.0
            log_visits = math.log(node.c) if node.c else 0.0
            for child in node.children:
                if not child.c:
                    best = child
                    break
                bound = child.r / child.c + gamma * math.sqrt(log_visits / child.c)
                if bound > highest:
                    best, highest = child, bound
            node = best
        value = node.total / node.ends if node.ends else 0.0
        while node is not None:
            node.c += 1
            node.r += value
            node = node.parent
