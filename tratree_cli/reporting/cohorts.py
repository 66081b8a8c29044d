"""Evaluations that differ in nothing but the training seed, taken together.

A cohort is one cell of a table: a method on an environment, a split, with a strong and a weak
model and one setting of the swept parameters. Its reward is the mean over seeds; its interval
resamples tasks (each task's reward averaged over seeds), its spread is the standard deviation over
seeds. The two answer different questions and are never mixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean, stdev

import numpy as np

from tratree_cli.evaluation import methods
from tratree_cli.evaluation.artifact import Budget, Descriptor, Evaluation
from tratree_cli.evaluation.bootstrap import Interval, mean_interval, mean_intervals
from tratree_cli.evaluation.metrics import task_curves, task_rewards


@dataclass(frozen=True)
class Effort:
    """What one policy cost from its demonstrations to its evaluation; None where unknown.

    ``episodes`` played and ``tokens`` sampled in all of them; ``cpu_seconds`` of all processes that
    recorded any, ``gpu_seconds`` the wall-clock of stages that computed on a GPU (recorded, never
    keyed).
    """

    episodes: int | None = None
    tokens: int | None = None
    cpu_seconds: float | None = None
    gpu_seconds: float | None = None


@dataclass(frozen=True)
class Run:
    """One evaluation with the seconds that each stage of its making took."""

    evaluation: Evaluation
    seconds: Mapping[str, float] = field(default_factory=dict)
    effort: Effort = Effort()


@dataclass(frozen=True)
class Cohort:
    """Runs of one method that differ only in the training seed, ordered by seed."""

    runs: tuple[Run, ...]

    @property
    def descriptor(self) -> Descriptor:
        """The first run's; everything that tables read from it is common to all runs."""
        return self.runs[0].evaluation.descriptor

    @property
    def method(self) -> str:
        return self.descriptor.method

    @property
    def name(self) -> str:
        """The method's printed name; the label of a method that tables do not know."""
        descriptor = self.descriptor
        if descriptor.method == methods.BEST_OF_N and descriptor.best_of:
            return f"SFT strong, best of {descriptor.best_of}"
        known = descriptor.method in methods.METHODS
        return methods.title(descriptor.method) if known else descriptor.label

    @property
    def seeds(self) -> tuple[int | None, ...]:
        return tuple(run.evaluation.descriptor.seed for run in self.runs)

    @cached_property
    def rewards(self) -> tuple[float, ...]:
        """Average reward times 100 of each run that has one."""
        return tuple(
            run.evaluation.metrics.reward.value
            for run in self.runs
            if run.evaluation.metrics.reward is not None
        )

    @cached_property
    def rewards_by_seed(self) -> dict[int, float]:
        """Average reward times 100 by training seed, for tests that pair seeds."""
        return {
            run.evaluation.descriptor.seed: run.evaluation.metrics.reward.value
            for run in self.runs
            if run.evaluation.descriptor.seed is not None
            and run.evaluation.metrics.reward is not None
        }

    @cached_property
    def task_rewards(self) -> dict[str, float]:
        """Reward in [0, 1] per task, averaged over the runs; only tasks that all runs scored."""
        tables = [
            task_rewards(run.evaluation.results, run.evaluation.descriptor.best_of)
            for run in self.runs
        ]
        shared = [task for task in tables[0] if all(task in table for table in tables)]
        return {task: fmean(table[task] for table in tables) for task in shared}

    @cached_property
    def reward(self) -> Interval | None:
        """Mean over seeds of the average reward times 100, interval over tasks."""
        if not self.rewards:
            return None
        if len(self.runs) == 1:
            return self.runs[0].evaluation.metrics.reward
        if not self.task_rewards:
            return Interval(fmean(self.rewards))
        return self._over_tasks(list(self.task_rewards.values()))

    @cached_property
    def by_type(self) -> dict[str, Interval]:
        """``reward`` of the tasks of each type."""
        types = {result.task: result.type for result in self.runs[0].evaluation.results}
        found: dict[str, list[float]] = {}
        for task, reward in self.task_rewards.items():
            found.setdefault(types[task], []).append(reward)
        return {name: self._over_tasks(rewards) for name, rewards in found.items()}

    def _over_tasks(self, rewards: Sequence[float]) -> Interval:
        metrics = self.runs[0].evaluation.metrics
        return mean_interval(
            rewards, resamples=metrics.resamples, level=metrics.level, seed=metrics.seed
        ).scaled(100)

    @cached_property
    def curve(self) -> tuple[Interval, ...]:
        """Average reward times 100 after each step, mean over seeds, intervals over tasks."""
        curves = [run.evaluation.metrics.curve for run in self.runs]
        if len(curves) == 1:
            return curves[0]
        length = max(map(len, curves))
        tables = [task_curves(run.evaluation.results, length) for run in self.runs]
        shared = [task for task in tables[0] if all(task in table for table in tables)]
        if not length or not shared:
            return ()
        metrics = self.runs[0].evaluation.metrics
        means = np.mean([[table[task] for task in shared] for table in tables], axis=0)
        found = mean_intervals(
            means, resamples=metrics.resamples, level=metrics.level, seed=metrics.seed
        )
        return tuple(interval.scaled(100) for interval in found)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the average reward over seeds (n - 1); None for one seed."""
        return stdev(self.rewards) if len(self.rewards) > 1 else None

    def mean(self, name: str) -> float | None:
        """The mean over runs of one of the metrics: ``success``, ``perfect``, ``steps``, ..."""
        values = [
            interval.value
            for run in self.runs
            if (interval := getattr(run.evaluation.metrics, name)) is not None
        ]
        return fmean(values) if values else None

    @property
    def budget(self) -> Budget:
        return self.descriptor.budget

    @property
    def seconds(self) -> float | None:
        """Mean over runs of all seconds spent on one run; None where nothing was recorded."""
        totals = [sum(run.seconds.values()) for run in self.runs if run.seconds]
        return fmean(totals) if totals else None

    def effort(self, name: str) -> float | None:
        """The mean over runs of one field of ``Effort``; None where nothing was recorded."""
        known = [value for run in self.runs if (value := getattr(run.effort, name)) is not None]
        return fmean(known) if known else None


def cohorts(runs: Sequence[Run]) -> tuple[Cohort, ...]:
    """Group runs; environments and splits in order of appearance, methods in the tables' order."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(_identity(run.evaluation.descriptor), []).append(run)
    described = [run.evaluation.descriptor for run in runs]
    environments = list(dict.fromkeys(one.environment for one in described))
    splits = list(dict.fromkeys(one.split for one in described))
    found = [Cohort(tuple(sorted(group, key=_seed))) for group in groups.values()]
    return tuple(
        sorted(
            found,
            key=lambda one: (
                environments.index(one.descriptor.environment),
                splits.index(one.descriptor.split),
                methods.rank(one.method),
                setting_order(one.descriptor),
            ),
        )
    )


def setting_order(descriptor: Descriptor) -> tuple[object, ...]:
    """A key that sorts the recipe's own setting first, then every setting by its values."""
    values = [descriptor.parameters.get(name) for name in descriptor.varied]
    numbers = [(value if isinstance(value, int | float) else 0, str(value)) for value in values]
    return descriptor.varied, numbers


def _identity(descriptor: Descriptor) -> tuple[str, ...]:
    known = descriptor.method in methods.METHODS
    return (
        descriptor.environment,
        descriptor.split,
        descriptor.family,
        descriptor.weak,
        descriptor.method,
        "" if known else descriptor.label,
        str(descriptor.best_of),
        repr(sorted(descriptor.parameters.items())),
        repr(descriptor.varied),
    )


def _seed(run: Run) -> tuple[bool, int]:
    seed = run.evaluation.descriptor.seed
    return (seed is None, seed or 0)
