"""Trajectories read a group of tasks at a time, for forests that do not fit into memory.

Trees of different tasks are independent, so it is enough to hold one group. The trade-off: the
trajectories of a task must lie next to each other, as ``explore`` writes them.

Several processes may share a file: each decompresses all of it, which is a fortieth of the work,
and parses only its own groups. Nothing large is handed from process to process then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import ENDINGS, UNSCORED, parsed, read_lines
from tratree_cli.trees.columns import Columns

_BEGINNING = b'{"task":"'


def stream_columns(
    path: Path, tasks: int = 500, *, share: tuple[int, int] = (0, 1)
) -> Iterator[Columns]:
    """The columns of ``trajectories.jsonl.zst``, ``tasks`` tasks at a time.

    Text numbers stay those of the artifact. ``share`` (i, n) is the part of process i of n: groups
    i, i + n, i + 2n, ... Raises InputError when a task comes back after its group was handed out.
    """
    index, of = share
    finished: set[bytes] = set()
    names: set[bytes] = set()
    group: list[Mapping[str, Any]] = []
    number = 0
    for line_number, line in read_lines(path):
        task = _task_in(path, line_number, line)
        if task not in names:
            if len(names) == tasks:
                if group:
                    yield _columns(group)
                finished |= names
                group, names, number = [], set(), number + 1
            if task in finished:
                raise InputError(
                    f"{path}: the trajectories of task '{task.decode()}' do not lie together; "
                    "read the whole file with read_rollouts instead"
                )
            names.add(task)
        if number % of == index:
            group.append(parsed(path, line_number, line))
    if group:
        yield _columns(group)


def _task_in(path: Path, number: int, line: bytes) -> bytes:
    """The task of a trajectory, without parsing the line if it begins as ours do."""
    if line.startswith(_BEGINNING):
        end = line.find(b'"', len(_BEGINNING))
        task = line[len(_BEGINNING) : end]
        if end > 0 and b"\\" not in task:
            return task
    return str(parsed(path, number, line)["task"]).encode()


def _columns(group: list[Mapping[str, Any]]) -> Columns:
    names: dict[str, int] = {}
    for record in group:
        names.setdefault(record["task"], len(names))
    lengths = [len(record["outputs"]) for record in group]
    counted = [record["score"] is not None and record["end"] not in UNSCORED for record in group]
    endings = {name: number for number, name in enumerate(ENDINGS)}

    def flat(name: str) -> Any:
        values = [
            value
            for record, length in zip(group, lengths, strict=True)
            for value in record[name][:length]
        ]
        return np.array(values, dtype=np.int32)

    score = [
        record["score"] if keep else np.nan for record, keep in zip(group, counted, strict=True)
    ]
    return Columns(
        tasks=tuple(names),
        task=np.array([names[record["task"]] for record in group], dtype=np.int32),
        offsets=np.cumsum([0, *lengths], dtype=np.int64),
        observations=flat("observations"),
        thoughts=flat("thoughts"),
        actions=flat("actions"),
        outputs=flat("outputs"),
        score=np.array(score, dtype=np.float64),
        success=np.array([record["success"] for record in group], dtype=np.bool_),
        end=np.array([endings.get(record["end"], -1) for record in group], dtype=np.int8),
        counted=np.array(counted, dtype=np.bool_),
    )
