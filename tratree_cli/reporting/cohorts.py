"""Evaluations that differ in nothing but the training seed and the order of rows, taken together.

A cohort is one cell of a table: a method on an environment, a split, with a strong and a weak
model and one setting of the swept parameters. Its reward is the mean of the runs' own average
rewards, each over the tasks that the run has a score on; its interval resamples tasks, its spread
is the standard deviation over seeds. The two answer different questions and are never mixed. The
orders of rows of one seed (``train.data_seed``) are averaged before anything is said over seeds,
and every seed weighs the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import lcm
from statistics import fmean, stdev

import numpy as np
from numpy.typing import ArrayLike

from tratree_cli.evaluation.artifact import Budget, Descriptor
from tratree_cli.evaluation.bootstrap import Interval, mean_over_runs_intervals
from tratree_cli.evaluation.metrics import task_curves, task_rewards
from tratree_cli.methods.registry import is_method, method, rank
from tratree_cli.reporting.rows import EvaluationRow


@dataclass(frozen=True)
class Cohort:
    """Runs of one method that differ only in training seed and order of rows, sorted by them."""

    runs: tuple[EvaluationRow, ...]

    @property
    def descriptor(self) -> Descriptor:
        """The first run's; everything that tables read from it is common to all runs."""
        return self.runs[0].descriptor

    @property
    def method(self) -> str:
        return self.descriptor.method

    @property
    def name(self) -> str:
        """The method's printed name; the label of a method that tables do not know."""
        descriptor = self.descriptor
        if not is_method(descriptor.method):
            return descriptor.label
        steps = [run.updates for run in self.runs if run.updates is not None]
        return method(descriptor.method).titled(descriptor.best_of, steps)

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """The training seeds, each once."""
        return tuple(self._by_seed)

    @property
    def orders(self) -> tuple[int, ...]:
        """How many orders of rows each seed has."""
        return tuple(map(len, self._by_seed.values()))

    @cached_property
    def _by_seed(self) -> dict[int | None, list[EvaluationRow]]:
        by_seed: dict[int | None, list[EvaluationRow]] = {}
        for run in self.runs:
            by_seed.setdefault(run.descriptor.seed, []).append(run)
        return by_seed

    @cached_property
    def _weighted(self) -> tuple[EvaluationRow, ...]:
        """The runs, repeated where seeds have unequally many of them, so that seeds weigh alike."""
        most = lcm(*self.orders)
        groups = self._by_seed.values()
        return tuple(run for group in groups for run in group for _ in range(most // len(group)))

    @cached_property
    def _rewards(self) -> dict[int | None, float]:
        """Average reward times 100 of each seed that has one: the mean over its orders."""
        rewards = {
            seed: [
                run.evaluation.metrics.reward.value
                for run in group
                if run.evaluation.metrics.reward is not None
            ]
            for seed, group in self._by_seed.items()
        }
        return {seed: fmean(values) for seed, values in rewards.items() if values}

    @property
    def rewards(self) -> tuple[float, ...]:
        """Average reward times 100 of each training seed that has one."""
        return tuple(self._rewards.values())

    @property
    def rewards_by_seed(self) -> dict[int, float]:
        """Average reward times 100 by training seed, for tests that pair seeds."""
        return {seed: reward for seed, reward in self._rewards.items() if seed is not None}

    @cached_property
    def task_rewards(self) -> dict[str, float]:
        """Reward in [0, 1] per task, averaged over the runs that have a score there."""
        by_task: dict[str, list[float]] = {}
        for table in self._tables:
            for task, reward in table.items():
                by_task.setdefault(task, []).append(reward)
        return {task: fmean(rewards) for task, rewards in by_task.items()}

    @cached_property
    def reward(self) -> Interval | None:
        """Mean over seeds of each run's average reward times 100, interval over tasks."""
        if not self.rewards:
            return None
        if len(self.runs) == 1:
            return self.runs[0].evaluation.metrics.reward
        return self._mean_over_runs(self._tables)

    @cached_property
    def by_type(self) -> dict[str, Interval]:
        """``reward`` of the tasks of each type."""
        types = {result.task: result.type for run in self.runs for result in run.evaluation.results}
        names = dict.fromkeys(types[task] for task in self.task_rewards)
        return {
            name: self._mean_over_runs(
                [{t: r for t, r in table.items() if types[t] == name} for table in self._tables]
            )
            for name in names
        }

    @cached_property
    def curve(self) -> tuple[Interval, ...]:
        """Average reward times 100 after each step, mean over seeds, intervals over tasks."""
        curves = [run.evaluation.metrics.curve for run in self._weighted]
        if len(curves) == 1:
            return curves[0]
        length = max(map(len, curves))
        tables = [task_curves(run.evaluation.results, length) for run in self._weighted]
        if not length or not any(tables):
            return ()
        return self._intervals(tables, length)

    @cached_property
    def _tables(self) -> list[dict[str, float]]:
        """Reward per task of each run; tasks that it has no score on are missing."""
        return [
            task_rewards(run.evaluation.results, run.descriptor.best_of) for run in self._weighted
        ]

    def _mean_over_runs(self, tables: Sequence[Mapping[str, float]]) -> Interval:
        return self._intervals([{t: [r] for t, r in table.items()} for table in tables], 1)[0]

    def _intervals(
        self, tables: Sequence[Mapping[str, ArrayLike]], figures: int
    ) -> tuple[Interval, ...]:
        """The mean over runs of so many figures per task, each run over the tasks it has."""
        tasks = list(dict.fromkeys(task for table in tables for task in table))
        sums = np.zeros((len(tasks), len(tables), figures))
        counts = np.zeros((len(tasks), len(tables)))
        for run, table in enumerate(tables):
            for place, task in enumerate(tasks):
                if task in table:
                    sums[place, run], counts[place, run] = table[task], 1
        metrics = self.runs[0].evaluation.metrics
        intervals = mean_over_runs_intervals(
            sums, counts, resamples=metrics.resamples, level=metrics.level, seed=metrics.seed
        )
        return tuple(interval.scaled(100) for interval in intervals)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the average reward over seeds (n - 1); None for one seed."""
        return stdev(self.rewards) if len(self.rewards) > 1 else None

    def mean(self, name: str) -> float | None:
        """The mean over runs of one of the metrics: ``success``, ``perfect``, ``steps``, ..."""
        values = [
            interval.value
            for run in self._weighted
            if (interval := getattr(run.evaluation.metrics, name)) is not None
        ]
        return fmean(values) if values else None

    @property
    def budget(self) -> Budget:
        return self.descriptor.budget


def cohorts(rows: Sequence[EvaluationRow]) -> tuple[Cohort, ...]:
    """Group rows; environments and splits in order of appearance, methods in the tables' order."""
    groups: dict[tuple[str, ...], list[EvaluationRow]] = {}
    for row in rows:
        groups.setdefault(_identity(row.descriptor), []).append(row)
    environments = list(dict.fromkeys(row.descriptor.environment for row in rows))
    splits = list(dict.fromkeys(row.descriptor.task_set for row in rows))

    def order(cohort: Cohort) -> tuple[object, ...]:
        return (
            environments.index(cohort.descriptor.environment),
            splits.index(cohort.descriptor.task_set),
            rank(cohort.method),
            setting_order(cohort.descriptor),
        )

    return tuple(
        sorted((Cohort(tuple(sorted(group, key=_seed))) for group in groups.values()), key=order)
    )


def setting_order(descriptor: Descriptor) -> tuple[object, ...]:
    """A key that sorts the recipe's own setting first, then every setting by its values."""
    values = [descriptor.parameters.get(name) for name in descriptor.varied]
    numbers = [(value if isinstance(value, int | float) else 0, str(value)) for value in values]
    return descriptor.varied, numbers


def _identity(descriptor: Descriptor) -> tuple[str, ...]:
    return (
        descriptor.environment,
        descriptor.task_set,
        descriptor.family,
        descriptor.weak,
        descriptor.method,
        "" if is_method(descriptor.method) else descriptor.label,
        str(descriptor.best_of),
        repr(sorted(descriptor.parameters.items())),
        repr(descriptor.varied),
    )


def _seed(row: EvaluationRow) -> tuple[bool, int, int]:
    """Sorts by seed; of one seed the order that follows it comes first."""
    seed, order = row.descriptor.seed, row.descriptor.data_seed
    return (seed is None, seed or 0, -1 if order is None else order)


def seeds_in_words(groups: Sequence[Cohort]) -> str:
    """``3``, ``3 to 5`` or ``5 × 3 orders``: the training seeds behind each figure.

    Policies without a seed take no part, and with one order for each seed none in the orders.
    """
    seeded = [group for group in groups if group.seeds != (None,)]
    seeds = {len(group.seeds) for group in seeded} or {1}
    orders = {number for group in seeded if max(group.orders) > 1 for number in group.orders}
    return f"{_span(seeds)} × {_span(orders)} orders" if orders else _span(seeds)


def _span(numbers: set[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(most) if least == most else f"{least} to {most}"
