"""From trajectories to the columns that ``trees`` reads: numbers only, no texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import ENDINGS, UNSCORED, Rollouts
from tratree_cli.trees.columns import NO_ACTION, Columns

_ENDING_NUMBER = {name: number for number, name in enumerate(ENDINGS)}


def columns_from_rollouts(rollouts: Rollouts) -> Columns:
    """The columns of all trajectories, in their order; trajectory t of both is the same one.

    Tasks are numbered by first appearance. Texts keep the numbers of ``rollouts.texts``.
    """
    return columns_from_records(map(vars, rollouts.trajectories))


def columns_from_records(records: Iterable[Mapping[str, Any]]) -> Columns:
    """The columns of trajectories given by their fields (``formats.rollouts.Trajectory``)."""
    number: dict[str, int] = {}
    task: list[int] = []
    offsets: list[int] = [0]
    observations: list[int] = []
    thoughts: list[int] = []
    actions: list[int] = []
    outputs: list[int] = []
    valid: list[bool] = []
    score: list[float] = []
    success: list[bool] = []
    end: list[int] = []
    for record in records:
        steps = len(record["outputs"])
        if (
            not len(record["thoughts"])
            == len(record["actions"])
            == len(record["valid"])
            == steps
            <= len(record["observations"])
        ):
            raise InputError(
                f"a trajectory of task '{record['task']}' has more or fewer observations, "
                "thoughts, actions or validities than outputs; the file is damaged or was made by "
                "another program"
            )
        task.append(number.setdefault(record["task"], len(number)))
        offsets.append(offsets[-1] + steps)
        observations.extend(record["observations"][:steps])
        thoughts.extend(record["thoughts"])
        actions.extend(record["actions"])
        outputs.extend(record["outputs"])
        valid.extend(record["valid"])
        counted = record["score"] is not None and record["end"] not in UNSCORED
        score.append(record["score"] if counted else np.nan)
        success.append(record["success"])
        end.append(_ENDING_NUMBER.get(record["end"], -1))
    scores = np.array(score, dtype=np.float64)
    return Columns(
        tasks=tuple(number),
        task=np.array(task, dtype=np.int32),
        offsets=np.array(offsets, dtype=np.int64),
        observations=np.array(observations, dtype=np.int32),
        thoughts=np.array(thoughts, dtype=np.int32),
        actions=np.array(actions, dtype=np.int32),
        outputs=np.array(outputs, dtype=np.int32),
        valid=np.array(valid, dtype=np.bool_) & (np.array(actions, dtype=np.int32) != NO_ACTION),
        score=scores,
        success=np.array(success, dtype=np.bool_),
        end=np.array(end, dtype=np.int8),
        counted=~np.isnan(scores),
    )
