"""A forest, or a state graph, as if some of its trajectories had not been explored.

Nodes that nothing else passes keep no place; what remains is merged and ordered as it was.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tratree_cli.trees.build import with_merges, with_statistics
from tratree_cli.trees.columns import BoolArray, Columns, IntArray
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.join_states import graph_from_states
from tratree_cli.trees.state_graph import StateGraph


def forest_without(forest: Forest, marked: BoolArray) -> Forest:
    """The forest without the trajectories that ``marked[T]`` names, which keep their numbers."""
    columns, owner = _without(forest.columns, marked)
    step_node = np.where(columns.counted[owner], forest.step_node, -1)
    inside = step_node >= 0
    first = np.full(len(forest), len(columns), dtype=np.int64)
    np.minimum.at(first, step_node[inside], owner[inside])
    used = first < len(columns)
    used[forest.roots] = True
    first[forest.roots] = -1
    kept = np.flatnonzero(used)
    number = np.cumsum(used) - 1
    # Siblings of one state are named by the first of them that is left.
    _, place, group = np.unique(forest.state[kept], return_index=True, return_inverse=True)
    tree, parent = forest.tree[kept], forest.parent[kept]
    left = with_statistics(
        columns,
        tree_offsets=np.searchsorted(tree, np.arange(forest.trees + 1)),
        tree=tree,
        parent=np.where(parent >= 0, number[parent], -1),
        depth=forest.depth[kept],
        action=forest.action[kept],
        observation=forest.observation[kept],
        state=place[group],
        first=first[kept],
        step_node=np.where(inside, number[step_node], -1),
    )
    return with_merges(left, forest.merges)


def graph_without(graph: StateGraph, marked: BoolArray) -> StateGraph:
    """The state graph without the trajectories that ``marked[T]`` names."""
    columns, owner = _without(graph.columns, marked)
    states = np.where(columns.counted[owner], graph.step_state, -1)
    inside = states >= 0
    states[inside] = np.unique(states[inside], return_inverse=True)[1]
    return graph_from_states(columns, states, graph.merged)


def _without(columns: Columns, marked: BoolArray) -> tuple[Columns, IntArray]:
    """The columns, and the trajectory of each step."""
    left = replace(
        columns,
        counted=columns.counted & ~marked,
        score=np.where(marked, np.nan, columns.score),
    )
    return left, np.repeat(np.arange(len(columns)), columns.lengths)
