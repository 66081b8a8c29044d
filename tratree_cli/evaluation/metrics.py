"""From episodes to the figures of one policy: reward, success, steps, endings, reward by step.

A task counts once, however often it was sampled: first the samples of a task are brought to one
figure (their mean, or the best of N as the paper's baseline selects it), then tasks are averaged
and resampled. Episodes without a score (a crashed environment or server) are left out and counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratree_cli.evaluation.bootstrap import LEVEL, RESAMPLES, Interval, mean_intervals
from tratree_cli.evaluation.results import EpisodeResult, episode_results
from tratree_cli.formats.rollouts import Rollouts

Intervals = Callable[[NDArray[np.float64]], tuple[Interval, ...]]
"""From a (tasks, columns) table to the interval of each column."""


@dataclass(frozen=True)
class Group:
    """The part of an evaluation that shares a task type or a sampling setting."""

    name: str
    tasks: int
    episodes: int
    reward: Interval
    success: Interval


@dataclass(frozen=True)
class Metrics:
    """What one policy did on one split.

    ``reward`` is the average reward times 100; ``success`` (the environment's own definition),
    ``perfect`` (reward 1) and ``finished`` (ended by itself) are percentages of episodes; ``steps``
    and ``invalid`` are per episode. All are None when no episode has a score. ``curve[i]`` is the
    average reward times 100 after step i + 1, an ended episode keeping its final score (Fig. 3).
    ``best_of[n]`` is the reward of the best of n samples of a task. ``aggregation`` is how the
    samples of a task became one figure: ``mean`` or ``best-of-N``.
    """

    tasks: int
    episodes: int
    unscored: int
    aggregation: str = "mean"
    reward: Interval | None = None
    success: Interval | None = None
    perfect: Interval | None = None
    finished: Interval | None = None
    steps: Interval | None = None
    invalid: Interval | None = None
    endings: Mapping[str, int] | None = None
    types: tuple[Group, ...] = ()
    settings: tuple[Group, ...] = ()
    best_of: Mapping[int, Interval] | None = None
    curve: tuple[Interval, ...] = ()
    notes: tuple[str, ...] = ()
    level: float = LEVEL
    resamples: int = RESAMPLES
    seed: int = 0


def summarise(
    rollouts: Rollouts,
    task_types: Mapping[str, str] | None = None,
    *,
    best_of: int | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Metrics:
    """The metrics of the policy that made ``rollouts``; ``task_types`` maps task to type.

    With ``best_of=N`` the headline figures are those of the best of N samples per task (Section
    4.1's inference baseline); otherwise the mean over a task's samples.
    """
    return summarise_results(
        episode_results(rollouts, task_types),
        settings=rollouts.settings,
        best_of=best_of,
        level=level,
        resamples=resamples,
        seed=seed,
    )


def summarise_results(
    results: Sequence[EpisodeResult],
    *,
    settings: Sequence[Mapping[str, Any]] = (),
    best_of: int | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Metrics:
    """``summarise`` for results that were read back from an evaluation."""
    if best_of is not None and best_of < 1:
        raise ValueError(f"best_of is {best_of}, must be at least 1")
    endings = dict(sorted(Counter(result.end for result in results).items()))
    counted = [result for result in results if result.counted]
    unscored = len(results) - len(counted)
    aggregation = "mean" if best_of is None else f"best-of-{best_of}"
    by_task = _by_task(counted)
    notes = _notes(results, counted, by_task, best_of)
    if not counted:
        return Metrics(0, 0, unscored, aggregation, endings=endings, notes=notes, seed=seed)

    def intervals(values: NDArray[np.float64]) -> tuple[Interval, ...]:
        return mean_intervals(values, resamples=resamples, level=level, seed=seed)

    def groups(named: Mapping[str, Sequence[EpisodeResult]]) -> tuple[Group, ...]:
        return tuple(_group(name, members, intervals) for name, members in named.items())

    tasks = list(by_task.values())
    length = max(len(result.curve) for result in counted)
    table = np.array([_task_row(samples, best_of) for samples in tasks])
    reward, success, perfect, finished, steps, invalid = intervals(table)
    curves = np.array([_task_curve(samples, length) for samples in tasks])
    curve = intervals(curves) if length else ()
    return Metrics(
        tasks=len(tasks),
        episodes=len(counted),
        unscored=unscored,
        aggregation=aggregation,
        reward=reward.scaled(100),
        success=success.scaled(100),
        perfect=perfect.scaled(100),
        finished=finished.scaled(100),
        steps=steps,
        invalid=invalid,
        endings=endings,
        types=groups(_split(counted, lambda result: result.type)),
        settings=groups(_split(counted, lambda result: _setting_name(result.setting, settings))),
        best_of={
            number: intervals(
                np.array([best_of_n([_score(s) for s in samples], number) for samples in tasks])
            )[0].scaled(100)
            for number in _sample_numbers(min(len(samples) for samples in tasks))
        },
        curve=tuple(interval.scaled(100) for interval in curve),
        notes=notes,
        level=level,
        resamples=resamples,
        seed=seed,
    )


def task_rewards(results: Sequence[EpisodeResult], best_of: int | None = None) -> dict[str, float]:
    """Reward per task in [0, 1], tasks without any score left out: what paired tests compare."""
    counted = [result for result in results if result.counted]
    return {task: _task_row(group, best_of)[0] for task, group in _by_task(counted).items()}


def task_curves(results: Sequence[EpisodeResult], length: int) -> dict[str, NDArray[np.float64]]:
    """Score in [0, 1] after each of ``length`` steps per task, tasks without any score left out."""
    counted = [result for result in results if result.counted]
    return {task: _task_curve(group, length) for task, group in _by_task(counted).items()}


def chosen_samples(
    results: Sequence[EpisodeResult], best_of: int | None = None
) -> dict[str, list[EpisodeResult]]:
    """The episodes of each task that its figures are of: all scored ones, or the best of N."""
    counted = [result for result in results if result.counted]
    return {task: _chosen(samples, best_of) for task, samples in _by_task(counted).items()}


def best_of_n(scores: Sequence[float], number: int) -> float:
    """Expected best score of ``number`` of these samples drawn without replacement.

    With as many samples as ``number`` this is their maximum; with more it uses all of them instead
    of the first few (sort ascending: the i-th smallest is the best of C(i-1, n-1) of C(m, n)
    subsets). Fewer samples than ``number``: the best of those there are.
    """
    ordered = sorted(scores)
    size = min(number, len(ordered))
    subsets = math.comb(len(ordered), size)
    return sum(score * math.comb(index, size - 1) / subsets for index, score in enumerate(ordered))


def _score(result: EpisodeResult) -> float:
    assert result.score is not None
    return result.score


def _by_task(results: Sequence[EpisodeResult]) -> dict[str, list[EpisodeResult]]:
    return _split(results, lambda result: result.task)


def _split(
    results: Sequence[EpisodeResult], key: Callable[[EpisodeResult], str]
) -> dict[str, list[EpisodeResult]]:
    groups: dict[str, list[EpisodeResult]] = {}
    for result in sorted(results, key=lambda result: (key(result), result.task, result.sample)):
        groups.setdefault(key(result), []).append(result)
    return groups


def _chosen(samples: Sequence[EpisodeResult], best_of: int | None) -> list[EpisodeResult]:
    return list(samples) if best_of is None else [max(samples[:best_of], key=_score)]


def _task_row(samples: Sequence[EpisodeResult], best_of: int | None) -> list[float]:
    """Reward, success, perfect, finished, steps and invalid actions of one task."""
    chosen = _chosen(samples, best_of)
    rows = [(_score(s), s.success, s.perfect, s.finished, s.steps, s.invalid) for s in chosen]
    return [fmean(column) for column in zip(*rows, strict=True)]


def _task_curve(samples: Sequence[EpisodeResult], length: int) -> NDArray[np.float64]:
    """Score after each step, averaged over samples; G from an episode's last step on."""
    curves = np.empty((len(samples), length))
    for row, sample in enumerate(samples):
        before_the_end = sample.curve[:-1]
        curves[row, : len(before_the_end)] = before_the_end
        curves[row, len(before_the_end) :] = _score(sample)
    average: NDArray[np.float64] = curves.mean(axis=0)
    return average


def _group(name: str, members: Sequence[EpisodeResult], intervals: Intervals) -> Group:
    tasks = [_task_row(samples, None)[:2] for samples in _by_task(members).values()]
    reward, success = intervals(np.array(tasks))
    return Group(name, len(tasks), len(members), reward.scaled(100), success.scaled(100))


def _setting_name(setting: int, settings: Sequence[Mapping[str, Any]]) -> str:
    if not 0 <= setting < len(settings):
        return f"setting {setting}"
    temperature = settings[setting].get("temperature")
    if temperature == 0:
        return "greedy"
    return " ".join(f"{key}={value}" for key, value in sorted(settings[setting].items()))


def _sample_numbers(samples: int) -> list[int]:
    """1, 2, 4, ... up to the number of samples every task has; that number too."""
    if samples < 2:
        return []
    powers = [1 << power for power in range(samples.bit_length())]
    return sorted({*(power for power in powers if power < samples), samples})


def _notes(
    results: Sequence[EpisodeResult],
    counted: Sequence[EpisodeResult],
    by_task: Mapping[str, Sequence[EpisodeResult]],
    best_of: int | None,
) -> tuple[str, ...]:
    """Warnings about the figures, in sentences."""
    if not results:
        return ("There are no episodes, so there is nothing to measure.",)
    notes = []
    if not counted:
        notes.append("No episode has a score (environment or server failures), so no figure.")
    elif len(counted) < len(results):
        missing = len(results) - len(counted)
        notes.append(
            f"{missing} of {len(results)} episodes have no score and are left out of all figures."
        )
    lost = {result.task for result in results} - set(by_task)
    if lost and counted:
        notes.append(f"{len(lost)} tasks have no scored episode at all.")
    if len(by_task) == 1:
        notes.append("One task only: an interval over tasks cannot be given.")
    elif by_task and len({_score(result) for result in counted}) == 1:
        notes.append(
            "All episodes have the same reward: the interval has no width, "
            "which does not mean that there is no uncertainty."
        )
    if best_of is not None and any(len(samples) < best_of for samples in by_task.values()):
        notes.append(
            f"Some tasks have fewer than {best_of} scored samples; their best is of those."
        )
    return tuple(notes)
