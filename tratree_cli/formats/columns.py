"""From rollouts to the columns that ``trees`` reads, and several artifacts into one.

The trees package sees numbers only. Here the numbers of several artifacts are made one numbering,
so that a forest may be grown from the explorations of several models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import ENDINGS, Rollouts, TextTable, Trajectory
from tratree_cli.trees.columns import Columns

_ENDING_NUMBER = {name: number for number, name in enumerate(ENDINGS)}


def columns_from_rollouts(rollouts: Rollouts) -> Columns:
    """The columns of all trajectories, in their order; trajectory t of both is the same one.

    Tasks are numbered by first appearance. Texts keep the numbers of ``rollouts.texts``.
    """
    return columns_from_trajectories(rollouts.trajectories)


def columns_from_trajectories(
    trajectories: Iterable[Trajectory], tasks: Sequence[str] = ()
) -> Columns:
    """Columns of trajectories that share one text table; ``tasks`` are numbered first."""
    number = {name: position for position, name in enumerate(tasks)}
    task: list[int] = []
    lengths: list[int] = [0]
    observations: list[int] = []
    thoughts: list[int] = []
    actions: list[int] = []
    outputs: list[int] = []
    score: list[float] = []
    success: list[bool] = []
    end: list[int] = []
    for trajectory in trajectories:
        steps = trajectory.steps
        task.append(number.setdefault(trajectory.task, len(number)))
        lengths.append(steps)
        observations.extend(trajectory.observations[:steps])
        thoughts.extend(trajectory.thoughts)
        actions.extend(trajectory.actions)
        outputs.extend(trajectory.outputs)
        score.append(
            trajectory.score if trajectory.counted and trajectory.score is not None else np.nan
        )
        success.append(trajectory.success)
        end.append(_ENDING_NUMBER.get(trajectory.end, -1))
    scores = np.array(score, dtype=np.float64)
    columns = Columns(
        tasks=tuple(number),
        task=np.array(task, dtype=np.int32),
        offsets=np.cumsum(lengths, dtype=np.int64),
        observations=np.array(observations, dtype=np.int32),
        thoughts=np.array(thoughts, dtype=np.int32),
        actions=np.array(actions, dtype=np.int32),
        outputs=np.array(outputs, dtype=np.int32),
        score=scores,
        success=np.array(success, dtype=np.bool_),
        end=np.array(end, dtype=np.int8),
        counted=~np.isnan(scores),
    )
    sizes = {columns.steps, len(observations), len(thoughts), len(outputs)}
    if len(sizes) != 1:
        raise InputError(
            "a trajectory has fewer observations, thoughts or actions than outputs; "
            "the rollouts file is damaged or was made by another program"
        )
    return columns


def merge_rollouts(artifacts: Sequence[Rollouts]) -> Rollouts:
    """One set of rollouts from several, in their order: texts, settings and sources numbered anew.

    Sampled tokens are left behind (they belong to one tokenizer). Raises InputError when the
    artifacts are of different environments or were sampled with different prompts.
    """
    if not artifacts:
        raise InputError("there are no rollouts to build from")
    head = artifacts[0]
    for other in artifacts[1:]:
        if _environment_key(other) != _environment_key(head):
            raise InputError(
                "the rollouts come from different environments or data; build one tree from each"
            )
        if dict(other.prompt) != dict(head.prompt):
            raise InputError("the rollouts were sampled with different prompts; merge equal ones")
    texts = TextTable()
    trajectories: list[Trajectory] = []
    settings: list[object] = []
    sources: list[str] = []
    for artifact in artifacts:
        renumber = [texts.intern(text) for text in artifact.texts.texts]
        for trajectory in artifact.trajectories:
            trajectories.append(
                replace(
                    trajectory,
                    setting=trajectory.setting + len(settings),
                    source=trajectory.source + len(sources),
                    instruction=_moved(renumber, (trajectory.instruction,))[0],
                    observations=_moved(renumber, trajectory.observations),
                    outputs=_moved(renumber, trajectory.outputs),
                    thoughts=_moved(renumber, trajectory.thoughts),
                    actions=_moved(renumber, trajectory.actions),
                    tokens=(),
                )
            )
        settings.extend(artifact.settings)
        sources.extend(artifact.sources)
    return replace(
        head,
        texts=texts,
        trajectories=trajectories,
        settings=settings,  # type: ignore[arg-type]
        sources=sources,
        split=head.split if len({a.split for a in artifacts}) == 1 else "mixed",
    )


def _moved(renumber: Sequence[int], numbers: Sequence[int]) -> tuple[int, ...]:
    return tuple(renumber[number] if number >= 0 else number for number in numbers)


def _environment_key(rollouts: Rollouts) -> object:
    environment = dict(rollouts.environment)
    environment.pop("data", None)  # a folder's path is no identity, its digest is
    return environment
