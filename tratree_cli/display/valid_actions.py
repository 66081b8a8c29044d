"""Which trajectories, trees and pairs are fit to be shown as examples.

A wide gap is often one between a purchase and words in which no action can be read. That is in the
data and in every figure, but it teaches a reader nothing, so examples are chosen among those in
which both sides act validly: every step had an effect.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tratree_cli.formats.rollouts import Rollouts, Trajectory
from tratree_cli.formats.trees import TreeFile
from tratree_cli.trees.columns import BoolArray
from tratree_cli.trees.pairs import Pair
from tratree_cli.trees.statistics import outcome_entropy, tree_informativeness


def acts_validly(trajectory: Trajectory, start: int = 0) -> bool:
    """Whether every step from ``start`` on could be read and had an effect."""
    steps = zip(trajectory.actions[start:], trajectory.valid[start:], strict=True)
    return all(action >= 0 and had_effect for action, had_effect in steps)


def valid_nodes(tree: TreeFile) -> BoolArray:
    """Nodes that a trajectory without an invalid step passes through, ``[N]``."""
    forest = tree.forest
    valid = np.zeros(len(forest), dtype=np.bool_)
    for number in np.flatnonzero(forest.columns.counted).tolist():
        if acts_validly(tree.rollouts.trajectories[number]):
            valid[forest.path(number)] = True
    return valid


def most_informative(tree: TreeFile) -> list[int]:
    """Trees with a scored trajectory, the widest gap between valid branches first.

    Equal gaps are ordered by the widest gap of all branches, by how few nodes are invalid, by the
    entropy of outcomes, and by number.
    """
    forest = tree.forest
    valid = valid_nodes(tree)
    widest_valid, widest = tree_informativeness(forest, valid), tree_informativeness(forest)
    invalid = np.bincount(forest.tree[~valid], minlength=forest.trees)
    entropy = outcome_entropy(forest)
    grown = np.flatnonzero(forest.visits[forest.roots] > 0)
    return sorted(
        grown.tolist(), key=lambda k: (-widest_valid[k], -widest[k], invalid[k], -entropy[k], k)
    )


def widest_pairs(pairs: Sequence[Pair], rollouts: Rollouts, count: int) -> list[Pair]:
    """The widest pair of each of ``count`` tasks, those in which both sides act validly first."""

    def both_valid(pair: Pair) -> bool:
        sides = (rollouts.trajectories[side] for side in (pair.chosen, pair.rejected))
        return all(acts_validly(trajectory, pair.step) for trajectory in sides)

    ordered = sorted(pairs, key=lambda pair: (not both_valid(pair), -pair.gap))
    by_task: dict[int, Pair] = {}
    for pair in ordered:
        by_task.setdefault(pair.task, pair)
    return list(by_task.values())[:count]
