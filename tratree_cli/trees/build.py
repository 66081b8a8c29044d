"""Building a forest level by level (paper, section 3.2; DESIGN, "Tree").

The paper inserts trajectories one by one. A node's children depend only on the steps of the
trajectories that pass through it, taken in insertion order, so all trajectories of all trees may
be placed together, one depth at a time, and each depth is one sort over integers. The result is the
one that inserting in order gives, because a new node's representative never changes afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from tratree_cli.trees.columns import NO_ACTION, ROOT_ACTION, Columns, FloatArray, IntArray
from tratree_cli.trees.forest import Forest, MergeCounts
from tratree_cli.trees.group_steps import group_steps, rank_in_group
from tratree_cli.trees.merge_observations import Guard, Merger, Similarity

OnProgress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True)
class MergePolicy:
    """When a step joins an existing child with exactly the same action.

    ``exact``: the preceding observations are equal. ``similar``: they are equal, or their cosine
    reaches ``threshold`` (ξ_sim) and the ``guard`` (``"numbers-equal"``, or nothing) agrees. A
    threshold above 1 is the same as ``exact``.
    """

    kind: Literal["exact", "similar"] = "exact"
    threshold: float = 0.95
    guard: Literal["numbers-equal", ""] | None = None

    @property
    def compares(self) -> bool:
        """Whether different texts can ever merge under this policy."""
        return self.kind == "similar" and self.threshold <= 1.0


@dataclass(frozen=True)
class _Level:
    """The nodes of one depth, in order of their parents."""

    parent: IntArray
    action: IntArray
    observation: IntArray
    state: IntArray
    first: IntArray


def build_forest(
    columns: Columns,
    policy: MergePolicy | None = None,
    similarity: Similarity | None = None,
    guard: Guard | None = None,
    progress: OnProgress | None = None,
) -> Forest:
    """Merge trajectories into one tree per task, in the order in which they stand in ``columns``.

    ``similarity`` maps text numbers ``[n]`` to unit vectors ``[n, d]``; it is called at most once
    per text, and only for texts that could merge and are not equal. ``guard`` maps text numbers
    to classes ``[n]``; texts of different classes never merge. ``progress`` is called with
    the steps done and the steps in all. Raises ValueError when a policy needs a function that is
    missing.
    """
    policy = policy or MergePolicy()
    if policy.compares and similarity is None:
        raise ValueError("the policy 'similar' needs a similarity function")
    if policy.guard and guard is None:
        raise ValueError(f"the guard '{policy.guard}' needs a function that classifies texts")
    merger = None
    if policy.compares and similarity is not None:
        merger = Merger(policy.threshold, similarity, guard if policy.guard else None)
    levels, step_node, counts = _descend(columns, merger, progress)
    forest = _assemble(columns, levels, step_node)
    return with_merges(forest, counts)


def _descend(
    columns: Columns, merger: Merger | None, progress: OnProgress | None
) -> tuple[list[_Level], IntArray, MergeCounts]:
    """Place all trajectories, one depth at a time; nodes are numbered level by level."""
    trees = len(columns.tasks)
    lengths = columns.lengths
    counted = np.flatnonzero(columns.counted)
    rows = counted[np.argsort(columns.task[counted], kind="stable")]
    at = columns.task.astype(np.int64)
    only_row = np.bincount(columns.task[rows], minlength=trees) == 1
    step_node = np.full(columns.steps, -1, dtype=np.int64)
    levels: list[_Level] = []
    base, width, done, created, similar, depth = 0, trees, 0, 0, 0, 0
    total = int(lengths[rows].sum())
    while True:
        rows = rows[lengths[rows] > depth]
        if not len(rows):
            break
        steps = columns.offsets[rows] + depth
        groups = group_steps(
            parent=at[rows] - base,
            action=columns.actions[steps].astype(np.int64),
            observation=columns.observations[steps].astype(np.int64),
            only_row=only_row,
        )
        if merger is not None:
            groups, joined = merger.merge(groups)
            similar += joined
        child_rank, starts = rank_in_group(groups.parent, groups.first, width)
        node_of_group = starts[groups.parent] + child_rank
        order = np.empty(len(groups.parent), dtype=np.int64)
        order[node_of_group] = np.arange(len(order))
        state = node_of_group[groups.state][order]
        levels.append(
            _Level(
                parent=groups.parent[order] + base,
                action=groups.action[order],
                observation=groups.observation[order],
                state=state + base + width,
                first=rows[groups.first[order]],
            )
        )
        base += width
        width = len(order)
        at[rows] = step_node[steps] = node_of_group[groups.group_of_row] + base
        only_row = groups.size[order] == 1
        created += width
        done += len(rows)
        depth += 1
        if progress is not None:
            progress(done, total)
    counts = MergeCounts(
        embedded=0 if merger is None else merger.embedded,
        by_equality=done - created - similar,
        by_similarity=similar,
        created=created,
        uncounted=len(columns) - len(counted),
    )
    return levels, step_node, counts


def _assemble(columns: Columns, levels: list[_Level], step_node: IntArray) -> Forest:
    """Number the nodes tree by tree and add the statistics up."""
    trees = len(columns.tasks)
    roots = np.arange(trees)
    parent = np.concatenate([np.full(trees, -1), *(level.parent for level in levels)])
    sizes = [trees, *(len(level.parent) for level in levels)]
    depth = np.repeat(np.arange(len(sizes)), sizes)
    tree_parts: list[IntArray] = [roots]
    starts = np.concatenate(([0], np.cumsum(sizes)))
    for position, level in enumerate(levels):
        tree_parts.append(tree_parts[-1][level.parent - starts[position]])
    tree = np.concatenate(tree_parts)
    # Levels are numbered globally; a stable sort by tree keeps breadth-first order in each tree.
    order = np.argsort(tree, kind="stable")
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))

    def column(root: IntArray, name: str) -> IntArray:
        return np.concatenate([root, *(getattr(level, name) for level in levels)])[order]

    parent = np.where(parent >= 0, number[parent], -1)[order]
    state = number[column(roots, "state")]
    step_node = np.where(step_node >= 0, number[step_node], -1)
    return with_statistics(
        columns,
        tree_offsets=np.concatenate(([0], np.cumsum(np.bincount(tree, minlength=trees)))),
        tree=tree[order],
        parent=parent,
        depth=depth[order],
        action=column(np.full(trees, ROOT_ACTION), "action"),
        observation=column(np.full(trees, NO_ACTION), "observation"),
        state=state,
        first=column(np.full(trees, -1), "first"),
        step_node=step_node,
    )


def with_statistics(
    columns: Columns,
    *,
    tree_offsets: IntArray,
    tree: IntArray,
    parent: IntArray,
    depth: IntArray,
    action: IntArray,
    observation: IntArray,
    state: IntArray,
    first: IntArray,
    step_node: IntArray,
) -> Forest:
    """A forest from its structure: its statistics follow from the node of each step."""
    size = len(parent)
    roots = tree_offsets[:-1]
    lengths = columns.lengths
    end_node = np.where(columns.counted, roots[columns.task], -1)
    longer = columns.counted & (lengths > 0)
    end_node[longer] = step_node[columns.offsets[1:][longer] - 1]
    counted = np.flatnonzero(columns.counted)
    score = np.where(columns.counted, columns.score, 0.0)

    inside = step_node >= 0
    passing = np.concatenate((roots[columns.task[counted]], step_node[inside]))
    trajectory = np.concatenate((counted, np.repeat(np.arange(len(columns)), lengths)[inside]))
    child_count = np.bincount(parent[parent >= 0], minlength=size)
    return Forest(
        columns=columns,
        tree_offsets=tree_offsets,
        tree=tree,
        parent=parent,
        depth=depth,
        action=action,
        observation=observation,
        state=state,
        first=first,
        first_child=_first_children(tree_offsets, tree, child_count),
        child_count=child_count,
        visits=np.bincount(passing, minlength=size),
        successes=np.bincount(passing[columns.success[trajectory]], minlength=size),
        reward_sum=_sums(passing, score[trajectory], size),
        endings=np.bincount(end_node[counted], minlength=size),
        total_reward=_sums(end_node[counted], score[counted], size),
        step_node=step_node,
        end_node=end_node,
        merges=MergeCounts(),
    )


def with_merges(forest: Forest, counts: MergeCounts) -> Forest:
    """The forest with the counts of what merging did, which its structure does not contain."""
    return replace(forest, merges=counts)


def _sums(node: IntArray, value: FloatArray, size: int) -> FloatArray:
    """The sum of values per node, added in the order in which they stand."""
    return np.bincount(node, weights=value, minlength=size).astype(np.float64)


def _first_children(tree_offsets: IntArray, tree: IntArray, child_count: IntArray) -> IntArray:
    """Where children begin: breadth first, they follow the root in the order of their parents."""
    before = np.cumsum(child_count) - child_count
    roots = tree_offsets[:-1]
    result: IntArray = roots[tree] + 1 + before - before[roots][tree]
    return result
