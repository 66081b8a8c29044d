"""Trajectory forests on disk (kind ``tree``).

A tree artifact holds the merged rollouts it was grown from beside its nodes, so that pairs and
paths can be rendered word for word from it alone, and merging can be redone with another
threshold. ``nodes.jsonl.zst`` has one line a node; ``walks.jsonl.zst`` one line a trajectory (its
nodes). The trade-off: the texts are stored again, once, compressed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tratree_cli.errors import InputError
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.rollouts import (
    Rollouts,
    TextTable,
    read_jsonl,
    read_rollouts,
    write_jsonl,
    write_rollouts,
)
from tratree_cli.trees.build import with_merges, with_statistics
from tratree_cli.trees.columns import IntArray
from tratree_cli.trees.forest import Forest, MergeCounts

NODES = "nodes.jsonl.zst"
WALKS = "walks.jsonl.zst"
META = "tree.json"


@dataclass(frozen=True)
class TreeFile:
    """A tree artifact in memory: the forest, the rollouts its numbers refer to, and ``tree.json``.

    Trajectory t of ``forest.columns`` is ``rollouts.trajectories[t]``.
    """

    forest: Forest
    rollouts: Rollouts
    meta: Mapping[str, Any]

    @property
    def texts(self) -> TextTable:
        return self.rollouts.texts


def write_tree(
    forest: Forest, rollouts: Rollouts, folder: Path, meta: Mapping[str, Any] | None = None
) -> None:
    """Write a tree artifact; ``rollouts`` are those ``forest.columns`` was made from.

    ``meta`` is added to ``tree.json`` (the merge policy, the embedder). Equal input, equal bytes.
    """
    write_rollouts(rollouts, folder)
    write_jsonl(folder / NODES, node_records(forest))
    write_jsonl(folder / WALKS, _walks(forest))
    document = {
        **(meta or {}),
        "tasks": list(forest.columns.tasks),
        "nodes": len(forest),
        "merges": asdict(forest.merges),
    }
    (folder / META).write_bytes(
        orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    )


def read_tree(folder: Path) -> TreeFile:
    """Read what ``write_tree`` wrote; raises InputError where the files do not fit together."""
    rollouts = read_rollouts(folder)
    meta = orjson.loads((folder / META).read_bytes())
    names = ("tree", "parent", "depth", "action", "observation", "state", "first")
    rows = [[record[name] for name in names] for record in read_jsonl(folder / NODES)]
    table = np.array(rows, dtype=np.int64).reshape(len(rows), len(names))
    columns = columns_from_rollouts(rollouts)
    walks = [node for walk in read_jsonl(folder / WALKS) for node in walk]
    if len(walks) != columns.steps or len(rows) != meta["nodes"]:
        raise InputError(f"{folder}: {WALKS} and {NODES} do not belong to these trajectories")
    tree: dict[str, IntArray] = {name: table[:, place] for place, name in enumerate(names)}
    trees = len(columns.tasks)
    forest = with_statistics(
        columns,
        tree_offsets=np.searchsorted(tree["tree"], np.arange(trees + 1)),
        step_node=np.array(walks, dtype=np.int64),
        **tree,
    )
    return TreeFile(with_merges(forest, MergeCounts(**meta["merges"])), rollouts, meta)


def node_records(forest: Forest) -> Iterator[dict[str, Any]]:
    """One mapping a node, parents before children; texts by number."""
    offsets, thought, count = (column.tolist() for column in forest.thoughts)
    columns = {
        name: getattr(forest, name).tolist()
        for name in (
            "tree", "parent", "depth", "action", "observation", "state", "first",
            "visits", "successes", "reward_sum", "endings", "total_reward",
        )
    }  # fmt: skip
    names = list(columns)
    for node, values in enumerate(zip(*columns.values(), strict=True)):
        begin, end = offsets[node], offsets[node + 1]
        record: dict[str, Any] = {"node": node, **dict(zip(names, values, strict=True))}
        record["thoughts"] = [
            list(pair) for pair in zip(thought[begin:end], count[begin:end], strict=True)
        ]
        yield record


def _walks(forest: Forest) -> Iterator[list[int]]:
    nodes = forest.step_node.tolist()
    offsets = forest.columns.offsets.tolist()
    for trajectory in range(len(forest.columns)):
        yield nodes[offsets[trajectory] : offsets[trajectory + 1]]
