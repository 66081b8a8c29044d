"""Trajectories read a group of tasks at a time, for forests that do not fit into memory.

Trees of different tasks are independent, so it is enough to hold one group. The trade-off: the
trajectories of a task must lie next to each other, as ``explore`` writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import ENDINGS, UNSCORED, read_jsonl
from tratree_cli.trees.columns import Columns


def stream_columns(path: Path, tasks: int = 500) -> Iterator[Columns]:
    """The columns of ``trajectories.jsonl.zst``, ``tasks`` tasks at a time.

    Text numbers stay those of the artifact. Raises InputError when a task comes back after its
    group was handed out.
    """
    finished: set[str] = set()
    group: list[Mapping[str, Any]] = []
    names: dict[str, int] = {}
    for record in read_jsonl(path):
        task = record["task"]
        if task not in names:
            if len(names) == tasks:
                yield _columns(group, names)
                finished.update(names)
                group, names = [], {}
            if task in finished:
                raise InputError(
                    f"{path}: the trajectories of task '{task}' do not lie together; "
                    "read the whole file with read_rollouts instead"
                )
            names[task] = len(names)
        group.append(record)
    if group:
        yield _columns(group, names)


def _columns(group: list[Mapping[str, Any]], names: Mapping[str, int]) -> Columns:
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
