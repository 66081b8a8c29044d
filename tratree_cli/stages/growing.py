"""Growing a large forest in several processes.

Trees of different tasks are independent, so tasks are dealt out in ranges and the parts laid end to
end: the same bytes as in one process. Only equality is dealt out; comparing by similarity keeps
what it learnt about a text, and would learn it anew in each process. Starting a process costs as
much as building a million steps, and columns are built so fast that handing them over is a large
part of the work: only very large forests are dealt out.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np

from tratree_cli.trees.build import (
    MergePolicy,
    Progress,
    build_forest,
    with_merges,
    with_statistics,
)
from tratree_cli.trees.columns import Columns, IntArray
from tratree_cli.trees.forest import Forest, MergeCounts
from tratree_cli.trees.similar import Guard, Similarity

ENOUGH = 20_000_000
"""Steps from which several processes may pay; at four million, two were not faster than one."""
_STRUCTURE = ("tree", "parent", "depth", "action", "observation", "state", "first", "step_node")

Part = tuple[dict[str, IntArray], IntArray, MergeCounts]


def grow(
    columns: Columns,
    policy: MergePolicy,
    similarity: Similarity | None = None,
    guard: Guard | None = None,
    progress: Progress | None = None,
    *,
    workers: int = 1,
    enough: int = ENOUGH,
) -> Forest:
    """``build_forest`` in up to ``workers`` processes from ``enough`` steps on; the same forest."""
    workers = min(workers, len(columns.tasks))
    if workers < 2 or policy.compares or columns.steps < enough:
        return build_forest(columns, policy, similarity, guard, progress)
    shares = _shares(columns, workers)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers - 1, mp_context=context) as pool:
        others = [pool.submit(_part, part, policy) for part, _, _ in shares[1:]]
        parts = [_part(shares[0][0], policy), *(future.result() for future in others)]
    if progress is not None:
        progress(columns.steps, columns.steps)
    return _joined(columns, shares, parts)


Share = tuple[Columns, IntArray, int]
"""The columns of a range of tasks, which trajectories they are, and the first task."""


def _shares(columns: Columns, workers: int) -> list[Share]:
    """Ranges of tasks with about equally many steps."""
    load = np.bincount(columns.task, weights=columns.lengths, minlength=len(columns.tasks))
    share = np.minimum((np.cumsum(load) - load) * workers // max(load.sum(), 1), workers - 1)
    borders: list[int] = [*np.searchsorted(share, np.arange(workers)).tolist(), len(columns.tasks)]
    shares: list[Share] = []
    for begin, end in pairwise(borders):
        members = np.flatnonzero((columns.task >= begin) & (columns.task < end))
        part = columns.take(members)
        part = replace(
            part,
            tasks=columns.tasks[begin:end],
            task=part.task - begin,
            thoughts=part.actions,  # no part of the structure, and not worth sending
            outputs=part.actions,
        )
        shares.append((part, members, begin))
    return shares


def _part(columns: Columns, policy: MergePolicy) -> Part:
    forest = build_forest(columns, policy)
    # Half the bytes to send; a part has fewer nodes than 2³¹.
    found = {name: getattr(forest, name).astype(np.int32) for name in _STRUCTURE}
    return found, forest.tree_offsets, forest.merges


def _joined(columns: Columns, shares: Sequence[Share], parts: Sequence[Part]) -> Forest:
    base = 0
    step_node = np.full(columns.steps, -1, dtype=np.int64)
    offsets: list[IntArray] = [np.zeros(1, dtype=np.int64)]
    pieces: dict[str, list[IntArray]] = {name: [] for name in _STRUCTURE[:-1]}
    for (part, members, first_task), (found, tree_offsets, _) in zip(shares, parts, strict=True):
        own = {name: column.astype(np.int64) for name, column in found.items()}
        own["tree"] += first_task
        own["state"] += base
        own["parent"][own["parent"] >= 0] += base
        made = own["first"] >= 0
        own["first"][made] = members[own["first"][made]]
        own["step_node"][own["step_node"] >= 0] += base
        starts = np.repeat(columns.offsets[members] - part.offsets[:-1], part.lengths)
        step_node[starts + np.arange(part.steps)] = own["step_node"]
        for name, list_of in pieces.items():
            list_of.append(own[name])
        offsets.append(tree_offsets[1:] + base)
        base += int(tree_offsets[-1])
    forest = with_statistics(
        columns,
        tree_offsets=np.concatenate(offsets),
        step_node=step_node,
        **{name: np.concatenate(list_of) for name, list_of in pieces.items()},
    )
    counts = [asdict(merges) for _, _, merges in parts]
    return with_merges(forest, MergeCounts(**{k: sum(c[k] for c in counts) for k in counts[0]}))
