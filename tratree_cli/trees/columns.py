"""Trajectories as integer columns: what every algorithm of this package reads.

A forest of a million steps as Python objects costs gigabytes and is compared string by string; as
columns it costs four integers a step and is compared by number. The trade-off is that a text can
only be looked up with the text table (``formats``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

IntArray: TypeAlias = NDArray[np.integer[Any]]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
BoolArray: TypeAlias = NDArray[np.bool_]

NO_ACTION = -1
"""The action of an output that could not be parsed; the environment answers all of them alike, so
they count as one and the same action."""
NO_THOUGHT = -1
DONE_END = 0
"""The number of the ending "the environment ended the episode"."""
ROOT_ACTION = -2
"""The action column of a root: a root is an instruction and no step."""


@dataclass(frozen=True)
class Columns:
    """T trajectories with S steps in all; texts by number.

    ``tasks`` names the tasks (labels only); ``task[T]`` is the number of each trajectory's task.
    The steps of trajectory t are ``offsets[t]:offsets[t + 1]`` of ``observations``,
    ``thoughts``, ``actions``, ``outputs`` (each ``[S]``; observation i precedes action i).
    ``valid[S]``: whether the action had an effect (False for one that could not be parsed).
    ``score[T]`` is G in [0, 1], NaN where there is none; ``counted[T]`` is False for trajectories
    that an environment or policy error ended: they keep their place here and stay out of trees.
    ``end[T]`` numbers the ending (the order of ``formats.rollouts.ENDINGS``).
    """

    tasks: tuple[str, ...]
    task: IntArray
    offsets: IntArray
    observations: IntArray
    thoughts: IntArray
    actions: IntArray
    outputs: IntArray
    valid: BoolArray
    score: FloatArray
    success: BoolArray
    end: IntArray
    counted: BoolArray

    def __len__(self) -> int:
        return len(self.task)

    @property
    def steps(self) -> int:
        """The number of steps in all."""
        return len(self.actions)

    @property
    def lengths(self) -> IntArray:
        """Steps per trajectory, ``[T]``."""
        return np.diff(self.offsets)

    @property
    def effective(self) -> BoolArray:
        """Whether every step of a trajectory had an effect, ``[T]``."""
        ineffective = np.concatenate(([0], np.cumsum(~self.valid)))
        return np.equal(np.diff(ineffective[self.offsets]), 0)

    def span(self, trajectory: int) -> slice:
        """The slice of the step columns that holds the steps of one trajectory."""
        return slice(int(self.offsets[trajectory]), int(self.offsets[trajectory + 1]))

    def take(self, trajectories: IntArray) -> Columns:
        """These trajectories, in this order; tasks and text numbers keep their meaning."""
        lengths = self.lengths[trajectories]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        starts = self.offsets[:-1][trajectories]
        steps = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return replace(
            self,
            task=self.task[trajectories],
            offsets=offsets,
            observations=self.observations[steps],
            thoughts=self.thoughts[steps],
            actions=self.actions[steps],
            outputs=self.outputs[steps],
            valid=self.valid[steps],
            score=self.score[trajectories],
            success=self.success[trajectories],
            end=self.end[trajectories],
            counted=self.counted[trajectories],
        )


def columns_from_lists(
    tasks: Sequence[str],
    steps: Sequence[Sequence[tuple[int, int]]],
    scores: Sequence[float | None],
    *,
    success: Iterable[bool] | None = None,
    thoughts: Sequence[Sequence[int]] | None = None,
    outputs: Sequence[Sequence[int]] | None = None,
    valid: Sequence[Sequence[bool]] | None = None,
    end: Sequence[int] | None = None,
) -> Columns:
    """Columns from plain lists: ``steps[t]`` holds ``(observation, action)`` per step.

    A score of None means uncounted. Without ``outputs`` an output is numbered like its action,
    without ``success`` a trajectory succeeds when its score is 1, without ``valid`` every action
    that was parsed has an effect.
    """
    names = tuple(dict.fromkeys(tasks))
    number = {name: position for position, name in enumerate(names)}
    flat = [step for trajectory in steps for step in trajectory]
    score = np.array([np.nan if value is None else value for value in scores], dtype=np.float64)
    actions = np.array([action for _, action in flat], dtype=np.int32)
    return Columns(
        tasks=names,
        task=np.array([number[name] for name in tasks], dtype=np.int32),
        offsets=np.cumsum([0, *(len(trajectory) for trajectory in steps)], dtype=np.int64),
        observations=np.array([observation for observation, _ in flat], dtype=np.int32),
        thoughts=_flat(thoughts, len(flat), NO_THOUGHT),
        actions=actions,
        outputs=actions if outputs is None else _flat(outputs, len(flat), 0),
        valid=(actions != NO_ACTION) & _flat(valid, len(flat), 1).astype(np.bool_),
        score=score,
        success=score >= 1.0 if success is None else np.array(list(success), dtype=np.bool_),
        end=np.array(end if end is not None else [0] * len(scores), dtype=np.int8),
        counted=~np.isnan(score),
    )


def joined_columns(parts: Sequence[Columns]) -> Columns:
    """All trajectories of several columns that share one numbering of texts, in their order.

    Tasks are numbered anew, by first appearance.
    """
    number: dict[str, int] = {}
    task = [
        np.array([number.setdefault(name, len(number)) for name in part.tasks], dtype=np.int32)[
            part.task
        ]
        for part in parts
    ]

    def column(name: str, empty: type[np.generic]) -> Any:
        return np.concatenate([np.empty(0, dtype=empty), *(getattr(p, name) for p in parts)])

    lengths = [part.lengths for part in parts]
    return Columns(
        tasks=tuple(number),
        task=np.concatenate([np.empty(0, dtype=np.int32), *task]),
        offsets=np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *lengths])),
        observations=column("observations", np.int32),
        thoughts=column("thoughts", np.int32),
        actions=column("actions", np.int32),
        outputs=column("outputs", np.int32),
        valid=column("valid", np.bool_),
        score=column("score", np.float64),
        success=column("success", np.bool_),
        end=column("end", np.int8),
        counted=column("counted", np.bool_),
    )


def _flat(values: Sequence[Sequence[int]] | None, steps: int, default: int) -> IntArray:
    if values is None:
        return np.full(steps, default, dtype=np.int32)
    return np.array([value for row in values for value in row], dtype=np.int32)
