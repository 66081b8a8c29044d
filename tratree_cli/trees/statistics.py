"""What a forest is like: the paper's three properties of a good trajectory tree (section 3.2).

Breadth, depth and informativeness are each a few numbers over the whole forest, and one sentence
states whether it is worth training on. ``docs/trees.md`` gives the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tratree_cli.trees.columns import BoolArray, FloatArray, IntArray
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.group_steps import combine


@dataclass(frozen=True)
class ForestStatistics:
    """Counts and means over a forest; shares and scores are in [0, 1].

    ``children_by_depth[d]`` is the mean number of children of nodes at depth d that have any;
    ``paths_per_tree`` the mean number of distinct complete paths. ``ended`` is the share of
    trajectories that the environment ended itself. A node diverges where one state was answered
    with different actions; ``divergent`` is the share of inner nodes that do, ``gap`` the mean
    difference between their best and worst branch, ``informative_trees`` the share of trees in
    which some divergence has a gap above zero. ``entropy`` is the mean entropy (bits) of the
    distribution of distinct G within a tree.
    """

    trees: int
    grown: int
    nodes: int
    steps: int
    trajectories: int
    uncounted: int
    success_rate: float
    mean_score: float
    best_score: float
    children_by_depth: tuple[float, ...]
    paths_per_tree: float
    mean_depth: float
    max_depth: int
    ended: float
    inner_nodes: int
    divergences: int
    divergent: float
    gap: float
    informative_trees: float
    entropy: float

    @property
    def compression(self) -> float:
        """Steps per node: how much of the exploration was shared."""
        made = self.nodes - self.trees
        return self.steps / made if made else 0.0

    @property
    def quality(self) -> tuple[str, str]:
        """``(level, sentence)``, level ``good``, ``thin`` or ``empty``: is it worth training on?"""
        return _quality(self)


def forest_statistics(forest: Forest) -> ForestStatistics:
    """Describe a forest; every figure of an empty one is 0."""
    columns = forest.columns
    counted = np.flatnonzero(columns.counted)
    grown = forest.visits[forest.roots] > 0
    lengths = columns.lengths[counted]
    gap, state_tree = divergence_gaps(forest)
    inner = int((forest.child_count > 0).sum())
    leaves = forest.endings > 0
    scores = columns.score[counted]
    informative = np.zeros(forest.trees, dtype=np.bool_)
    informative[state_tree[gap > 0]] = True
    best = np.zeros(forest.trees)
    np.maximum.at(best, columns.task[counted], scores)
    depth = forest.depth[forest.child_count > 0]
    children = forest.child_count[forest.child_count > 0]
    per_depth = np.bincount(depth, weights=children) / np.maximum(np.bincount(depth), 1)
    return ForestStatistics(
        trees=forest.trees,
        grown=int(grown.sum()),
        nodes=len(forest),
        steps=int(lengths.sum()),
        trajectories=len(counted),
        uncounted=len(columns) - len(counted),
        success_rate=_mean(columns.success[counted]),
        mean_score=_mean(scores),
        best_score=_mean(best[grown]),
        children_by_depth=tuple(per_depth.tolist()),
        paths_per_tree=float(leaves.sum()) / max(int(grown.sum()), 1),
        mean_depth=_mean(lengths),
        max_depth=int(lengths.max(initial=0)),
        ended=_mean(columns.end[counted] == 0),
        inner_nodes=inner,
        divergences=len(gap),
        divergent=len(np.unique(_divergent_nodes(forest))) / inner if inner else 0.0,
        gap=_mean(gap),
        informative_trees=_mean(informative[grown]),
        entropy=_mean(outcome_entropy(forest)[grown]),
    )


def tree_informativeness(forest: Forest, among: BoolArray | None = None) -> FloatArray:
    """The informativeness of each tree, ``[K]``: the widest gap at any of its divergences.

    ``among`` are the nodes, ``[N]``, that are compared; all without it.
    """
    gap, tree = divergence_gaps(forest, among)
    widest = np.zeros(forest.trees)
    np.maximum.at(widest, tree, gap)
    return widest


def divergence_gaps(forest: Forest, among: BoolArray | None = None) -> tuple[FloatArray, IntArray]:
    """Best minus worst branch at every divergence, ``[D]``, and its tree, ``[D]``.

    Divergences of the nodes ``among``, ``[N]``; of all without it.
    """
    state, several = _divergent_states(forest, among)
    child = _steps(forest, among)
    highest = np.full(len(forest), -np.inf)
    lowest = np.full(len(forest), np.inf)
    np.maximum.at(highest, forest.state[child], forest.mean[child])
    np.minimum.at(lowest, forest.state[child], forest.mean[child])
    divergent = state[several]
    return highest[divergent] - lowest[divergent], forest.tree[divergent]


def _steps(forest: Forest, among: BoolArray | None) -> IntArray:
    """The nodes ``among`` that are no root."""
    step = forest.parent >= 0
    return np.flatnonzero(step if among is None else step & among)


def _divergent_states(forest: Forest, among: BoolArray | None = None) -> tuple[IntArray, IntArray]:
    """All states (as their first node) and which of them were answered with several actions."""
    child = _steps(forest, among)
    if not len(child):
        return child, child
    _, answer = np.unique(combine(forest.state[child], forest.action[child]), return_index=True)
    state, count = np.unique(forest.state[child[answer]], return_counts=True)
    return state, np.flatnonzero(count > 1)


def _divergent_nodes(forest: Forest) -> IntArray:
    state, several = _divergent_states(forest)
    return forest.parent[state[several]]


def outcome_entropy(forest: Forest) -> FloatArray:
    """Entropy in bits of the distinct scores in every tree, ``[K]``."""
    columns = forest.columns
    counted = np.flatnonzero(columns.counted)
    entropy = np.zeros(forest.trees)
    if not len(counted):
        return entropy
    pair, count = np.unique(
        np.stack((columns.task[counted].astype(np.float64), columns.score[counted])),
        axis=1,
        return_counts=True,
    )
    tree = pair[0].astype(np.int64)
    share = count / np.bincount(columns.task[counted], minlength=forest.trees)[tree]
    np.add.at(entropy, tree, -share * np.log2(share))
    return np.maximum(entropy, 0.0)


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _quality(statistics: ForestStatistics) -> tuple[str, str]:
    if not statistics.trajectories:
        return "empty", "nothing to learn from: no trajectory has a score"
    if statistics.trajectories == statistics.grown:
        return "empty", "one trajectory per task cannot diverge: explore with more samples (-m)"
    if not statistics.divergences:
        return "empty", (
            "the samples of every task agree: raise the temperature or explore with more samples"
        )
    if not statistics.best_score:
        return "empty", (
            "no trajectory scored above zero: there is nothing to prefer or to imitate; explore "
            "easier tasks, with more samples (-m), or with a better model"
        )
    if not statistics.informative_trees:
        return "empty", (
            "all branches end equally well: tree-dpo has nothing to compare and would leave the "
            "model as it is; explore harder tasks, or with a higher temperature"
        )
    share = f"{statistics.informative_trees:.0%} of the trees"
    if statistics.informative_trees < 0.3:
        return "thin", (
            f"branches differ in outcome in only {share}: more samples or a higher temperature "
            "would make more of them teach something"
        )
    return "good", f"worth training on: branches differ in outcome in {share}"
