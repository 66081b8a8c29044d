"""Trajectory forests on disk (kind ``tree``).

A tree artifact holds the merged rollouts it was grown from beside its nodes, so that pairs and
paths can be rendered word for word from it alone, and merging can be redone with another
threshold. ``nodes.jsonl.zst`` has one line a node; ``walks.jsonl.zst`` one line a trajectory (its
nodes). A tree with a state graph has ``states.jsonl.zst`` too, one line a trajectory (the state of
each step). The trade-off: the texts are stored again, once, compressed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count as count_from
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tratree_cli.errors import InputError
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.rollouts import (
    Rollouts,
    TextTable,
    json_lines,
    read_jsonl,
    read_rollouts,
    write_jsonl,
    write_lines,
)
from tratree_cli.trees.build import with_merges, with_statistics
from tratree_cli.trees.columns import Columns, IntArray
from tratree_cli.trees.forest import Forest, MergeCounts
from tratree_cli.trees.join_states import graph_from_states
from tratree_cli.trees.state_graph import StateGraph

NODES = "nodes.jsonl.zst"
WALKS = "walks.jsonl.zst"
STATES = "states.jsonl.zst"
META = "tree.json"
STRUCTURE = ("tree", "parent", "depth", "action", "observation", "state", "first")
COLUMNS = (*STRUCTURE, "visits", "successes", "reward_sum", "endings", "total_reward")


@dataclass(frozen=True)
class TreeFile:
    """A tree artifact in memory: the forest, the rollouts its numbers refer to, and ``tree.json``.

    Trajectory t of ``forest.columns`` is ``rollouts.trajectories[t]``. ``graph`` is the state graph
    of trees that were merged into one.
    """

    forest: Forest
    rollouts: Rollouts
    meta: Mapping[str, Any]
    graph: StateGraph | None = None

    @property
    def texts(self) -> TextTable:
        return self.rollouts.texts


def write_tree(
    forest: Forest,
    folder: Path,
    meta: Mapping[str, Any] | None = None,
    spread: Callable[..., Iterable[bytes]] = map,
    graph: StateGraph | None = None,
) -> None:
    """Write the forest beside the rollouts it was grown from, which are in ``folder`` already.

    ``meta`` is added to ``tree.json`` (the merge policy, the embedder). ``spread`` is ``map``, or
    does the same with several processes. Equal input, equal bytes.
    """
    write_lines(folder / NODES, spread(NodeRows.lines, node_rows(forest)))
    write_jsonl(folder / WALKS, _walks(forest.columns, forest.step_node))
    if graph is not None:
        write_jsonl(folder / STATES, _walks(forest.columns, graph.step_state))
        meta = {**(meta or {}), "states": len(graph), "merged_observations": graph.merged}
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
    rows = [[record[name] for name in STRUCTURE] for record in read_jsonl(folder / NODES)]
    table = np.array(rows, dtype=np.int64).reshape(len(rows), len(STRUCTURE))
    columns = columns_from_rollouts(rollouts)
    walks = [node for walk in read_jsonl(folder / WALKS) for node in walk]
    if len(walks) != columns.steps or len(rows) != meta["nodes"]:
        raise InputError(f"{folder}: {WALKS} and {NODES} do not belong to these trajectories")
    tree: dict[str, IntArray] = {name: table[:, place] for place, name in enumerate(STRUCTURE)}
    trees = len(columns.tasks)
    forest = with_statistics(
        columns,
        tree_offsets=np.searchsorted(tree["tree"], np.arange(trees + 1)),
        step_node=np.array(walks, dtype=np.int64),
        **tree,
    )
    forest = with_merges(forest, MergeCounts(**meta["merges"]))
    return TreeFile(forest, rollouts, meta, _read_graph(folder, forest, meta))


def _read_graph(folder: Path, forest: Forest, meta: Mapping[str, Any]) -> StateGraph | None:
    if not (folder / STATES).is_file():
        return None
    states = [state for walk in read_jsonl(folder / STATES) for state in walk]
    if len(states) != forest.columns.steps:
        raise InputError(f"{folder}: {STATES} does not belong to these trajectories")
    step_state = np.array(states, dtype=np.int64)
    return graph_from_states(forest.columns, step_state, meta["merged_observations"])


@dataclass(frozen=True)
class NodeRows:
    """Neighbouring nodes, the first of which is number ``begin``, cut out of a forest.

    ``columns`` are those of ``COLUMNS``; ``thoughts`` are ``(offsets, thought, count)`` of these
    nodes alone (``Forest.thoughts``).
    """

    begin: int
    columns: Sequence[NDArray[Any]]
    thoughts: tuple[IntArray, IntArray, IntArray]

    def records(self) -> Iterator[dict[str, Any]]:
        """One mapping a node; texts by number."""
        offsets, thought, count = (column.tolist() for column in self.thoughts)
        seen = list(zip(thought, count, strict=True))
        thoughts = (seen[begin:end] for begin, end in pairwise(offsets))
        columns = (column.tolist() for column in self.columns)
        # Written out, because a million mappings made from a list of names take twice as long.
        for (
            node, tree, parent, depth, action, observation, state, first,
            visits, successes, reward_sum, endings, total_reward, thoughts_here,
        ) in zip(count_from(self.begin), *columns, thoughts, strict=False):  # fmt: skip
            yield {
                "node": node, "tree": tree, "parent": parent, "depth": depth,
                "action": action, "observation": observation, "state": state, "first": first,
                "visits": visits, "successes": successes, "reward_sum": reward_sum,
                "endings": endings, "total_reward": total_reward, "thoughts": thoughts_here,
            }  # fmt: skip

    def lines(self) -> bytes:
        """The same as JSON lines."""
        return json_lines(self.records())


def node_rows(forest: Forest, size: int = 1 << 11) -> Iterator[NodeRows]:
    """All nodes, parents before children, ``size`` at a time."""
    offsets, thought, count = forest.thoughts
    for begin in range(0, len(forest), size):
        end = min(begin + size, len(forest))
        low, high = int(offsets[begin]), int(offsets[end])
        thoughts = (offsets[begin : end + 1] - low, thought[low:high], count[low:high])
        columns = [getattr(forest, name)[begin:end] for name in COLUMNS]
        yield NodeRows(begin, columns, thoughts)


def _walks(columns: Columns, number: IntArray) -> Iterator[list[int]]:
    """The node, or state, of every step of each trajectory."""
    nodes = number.tolist()
    offsets = columns.offsets.tolist()
    for trajectory in range(len(columns)):
        yield nodes[offsets[trajectory] : offsets[trajectory + 1]]
