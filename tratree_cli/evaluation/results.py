"""One line per evaluated episode: what statistics need, without any text.

A trajectory holds every text; an evaluation keeps the numbers. That makes an
evaluation small enough to keep for ever and to compare task by task with any other, at the price
that reading what happened needs the rollouts it came from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tratree_cli.formats.rollouts import DONE, Rollouts, Trajectory

UNTYPED = "other"
"""The type of a task that the environment gives none."""


@dataclass(frozen=True)
class EpisodeResult:
    """The numbers of one episode.

    ``score`` is G in [0, 1], None when the episode does not measure the policy (the environment
    or the server broke, or the environment returned something that is not a number). ``curve[i]``
    is the environment's score after step i + 1, in [0, 1]. ``setting`` numbers the sampling
    setting, ``invalid`` counts actions without effect, unparsable outputs included. ``repeated``
    and ``malformed`` count turns (``evaluation.turns``); they are read from the episodes and
    stored nowhere, and None where there are no episodes to read.
    """

    task: str
    type: str
    sample: int
    setting: int
    score: float | None
    success: bool
    steps: int
    invalid: int
    end: str
    curve: tuple[float, ...] = ()
    repeated: int | None = None
    malformed: int | None = None

    @property
    def counted(self) -> bool:
        return self.score is not None

    @property
    def perfect(self) -> bool:
        """Whether the environment gave everything it can give."""
        return self.score is not None and self.score >= 1.0 - 1e-9

    @property
    def finished(self) -> bool:
        """Whether the episode ended by itself, well or badly."""
        return self.end == DONE

    def record(self) -> dict[str, Any]:
        """The JSON line of this episode; turns are counted from the episodes when it is read."""
        fields = {**self.__dict__, "curve": list(self.curve)}
        del fields["repeated"], fields["malformed"]
        return fields


def episode_results(
    rollouts: Rollouts, task_types: Mapping[str, str] | None = None
) -> tuple[EpisodeResult, ...]:
    """The results of all trajectories, in their order; unscored ones included and marked."""
    types = task_types or {}
    return tuple(
        _result(trajectory, types.get(trajectory.task) or UNTYPED)
        for trajectory in rollouts.trajectories
    )


def result_from(record: Mapping[str, Any]) -> EpisodeResult:
    """An episode's result from its JSON line."""
    return EpisodeResult(**{**record, "curve": tuple(record["curve"])})


def _result(trajectory: Trajectory, kind: str) -> EpisodeResult:
    score = trajectory.score if trajectory.counted else None
    if score is not None and not math.isfinite(score):
        score = None
    return EpisodeResult(
        task=trajectory.task,
        type=kind,
        sample=trajectory.sample,
        setting=trajectory.setting,
        score=score,
        success=bool(trajectory.success) and score is not None,
        steps=trajectory.steps,
        invalid=sum(not valid for valid in trajectory.valid),
        end=trajectory.end,
        curve=tuple(trajectory.scores),
    )
