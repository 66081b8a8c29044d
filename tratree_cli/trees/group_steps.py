"""One level of building: rows (trajectories at one depth) fall into groups (future nodes).

A group is a distinct (parent, action, observation). Most trajectories soon share their node
with no other, and such a row is its own group without looking: only rows of shared parents are
sorted, which is where the speed over comparing children one by one comes from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tratree_cli.trees.columns import BoolArray, IntArray


@dataclass(frozen=True)
class StepGroups:
    """C groups over R rows.

    ``parent``, ``action``, ``observation``, ``first`` (lowest row) and ``size`` (rows) are
    ``[C]``; ``state[C]`` is the first group of the same parent whose observation is the same
    state; ``group_of_row`` is ``[R]``.
    """

    parent: IntArray
    action: IntArray
    observation: IntArray
    first: IntArray
    size: IntArray
    state: IntArray
    group_of_row: IntArray


def group_steps(
    parent: IntArray, action: IntArray, observation: IntArray, only_row: BoolArray
) -> StepGroups:
    """Group rows by (parent, action, observation); ``only_row[p]``: p holds a single row."""
    is_single = only_row[parent]
    shared_rows = np.flatnonzero(~is_single)
    single = np.flatnonzero(is_single)
    order, starts = _groups(parent[shared_rows], action[shared_rows], observation[shared_rows])
    sizes = np.diff(np.append(starts, len(shared_rows)))
    first = np.minimum.reduceat(shared_rows[order], starts) if len(shared_rows) else shared_rows
    group_of_row = np.empty(len(parent), dtype=np.int64)
    group_of_row[shared_rows[order]] = np.repeat(np.arange(len(starts)), sizes)
    group_of_row[single] = np.arange(len(starts), len(starts) + len(single))
    first = np.concatenate((first, single))
    return StepGroups(
        parent=parent[first],
        action=action[first],
        observation=observation[first],
        first=first,
        size=np.concatenate((sizes, np.ones(len(single), dtype=np.int64))),
        state=_states(parent[first], observation[first], first, len(starts)),
        group_of_row=group_of_row,
    )


def _groups(*keys: IntArray) -> tuple[IntArray, IntArray]:
    """An order that brings equal rows together, and where each group begins in it."""
    if not len(keys[0]):
        empty = np.empty(0, dtype=np.int64)
        return empty, empty
    key = combine(*keys)
    order = np.argsort(key)
    ordered = key[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return order, starts


def combine(*keys: IntArray) -> IntArray:
    """One int64 per row that is equal exactly where all keys (each ≥ -2) are equal."""
    result = keys[0].astype(np.int64)
    bound = int(result.max()) + 1
    for key in keys[1:]:
        span = int(key.max()) + 3
        if bound > (1 << 62) // span:
            # The product would not fit into 63 bits: number what there is so far.
            result = np.unique(result, return_inverse=True)[1]
            bound = int(result.max()) + 1
        result = result * span + (key + 2)
        bound *= span
    return result


def _states(parent: IntArray, observation: IntArray, first: IntArray, shared: int) -> IntArray:
    """For each group the earliest group of its parent with an equal observation."""
    state = np.arange(len(parent))
    if shared > 1:
        order, starts = _groups(parent[:shared], observation[:shared])
        sizes = np.diff(np.append(starts, shared))
        earliest = np.minimum.reduceat(first[:shared][order], starts)
        row_to_cell = np.empty(int(first[:shared].max()) + 1, dtype=np.int64)
        row_to_cell[first[:shared]] = np.arange(shared)
        state[order] = np.repeat(row_to_cell[earliest], sizes)
    return state


def rank_in_group(group: IntArray, value: IntArray, groups: int) -> tuple[IntArray, IntArray]:
    """Each element's rank by ``value`` among its group, and where groups begin when laid out."""
    sizes = np.bincount(group, minlength=groups)
    starts = np.cumsum(sizes) - sizes
    rank = np.zeros(len(group), dtype=np.int64)
    several = np.flatnonzero(sizes[group] > 1)
    if len(several):
        order = several[np.argsort(combine(group[several], value[several]))]
        within = np.arange(len(order))
        begins = np.concatenate(([True], np.diff(group[order]) != 0))
        rank[order] = within - np.maximum.accumulate(np.where(begins, within, 0))
    return rank, starts
