"""Uncertainty over tasks: percentile bootstrap intervals, deterministic by seed.

Tasks are what a test set samples, so tasks are what is drawn again; the samples of one task always
travel together. The percentile interval is the plainest one: it never leaves the range of the data
(a success rate stays within 0 and 100), and pays with slightly short intervals below some thirty
tasks. No scipy here: every cached report reads this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
LEVEL = 0.95
_CHUNK = 2_000_000
"""Draws held in memory at once (8 bytes each)."""
_DECIMALS = 6
"""Figures are rounded here, so that the order in which BLAS adds never shows in an artifact."""


@dataclass(frozen=True)
class Interval:
    """A mean with its interval; ``low`` and ``high`` are None where one cannot be given."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def leaves_out_zero(self) -> bool:
        """Whether all of the interval lies on one side of 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def scaled(self, factor: float) -> Interval:
        """The same interval in other units (``factor`` > 0)."""
        return Interval(
            _rounded(self.value * factor),
            None if self.low is None else _rounded(self.low * factor),
            None if self.high is None else _rounded(self.high * factor),
        )


def bootstrap_means(
    values: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Means of ``resamples`` draws with replacement of the rows of ``values``.

    ``values`` is (tasks,) or (tasks, columns); all columns of a draw use the same tasks. Returns
    (resamples, columns). Equal seeds and numbers of tasks draw the same tasks, whatever the values.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim == 1:
        table = table[:, None]
    tasks = table.shape[0]
    if tasks == 0:
        raise ValueError("cannot resample an empty set of tasks")
    random = np.random.default_rng(seed)
    means = np.empty((resamples, table.shape[1]))
    rows = max(1, _CHUNK // tasks)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = random.integers(0, tasks, size=(count, tasks))
        # Counting draws turns a gather over all columns into one matrix product.
        drawn += np.arange(count)[:, None] * tasks
        weights = np.bincount(drawn.ravel(), minlength=count * tasks).reshape(count, tasks)
        means[start : start + count] = weights @ table / tasks
    return means


def mean_intervals(
    values: ArrayLike, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> tuple[Interval, ...]:
    """The mean of each column of ``values`` (tasks, columns) with its percentile interval.

    A single task has a mean but no interval: there is nothing to resample.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim == 1:
        table = table[:, None]
    centres = table.mean(axis=0)
    if table.shape[0] == 1:
        return tuple(Interval(_rounded(centre)) for centre in centres)
    means = bootstrap_means(table, resamples=resamples, seed=seed)
    tail = (1.0 - level) / 2
    lows, highs = np.quantile(means, [tail, 1 - tail], axis=0)
    return tuple(
        Interval(_rounded(centre), _rounded(low), _rounded(high))
        for centre, low, high in zip(centres, lows, highs, strict=True)
    )


def mean_interval(
    values: ArrayLike, *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> Interval:
    """The mean of one value per task with its percentile interval."""
    return mean_intervals(values, resamples=resamples, level=level, seed=seed)[0]


def mean_over_runs_intervals(
    sums: ArrayLike,
    counts: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[Interval, ...]:
    """The mean over runs of each run's own mean, with an interval that resamples tasks.

    ``counts`` (tasks, runs) is how many cases of a task a run has (0: none, it takes no part in
    that run's mean), ``sums`` (tasks, runs, figures) what they add up to. All cases of a task, in
    all runs, are drawn together, because they are not independent. A run without any case is left
    out; ValueError where no run has one.
    """
    cases = np.asarray(counts, dtype=np.float64)
    totals = np.asarray(sums, dtype=np.float64)
    tasks, runs, figures = totals.shape
    if not cases.any():
        raise ValueError("cannot take the mean of no case")

    def means(table: NDArray[np.float64]) -> NDArray[np.float64]:
        drawn = table.reshape(len(table), runs, figures + 1)
        with np.errstate(invalid="ignore"):
            ratios = np.ma.masked_invalid(drawn[:, :, 1:] / drawn[:, :, :1])
        average: NDArray[np.float64] = ratios.mean(axis=1).filled(np.nan)
        return average

    table = np.concatenate([cases[:, :, None], totals], axis=2).reshape(tasks, -1)
    centres = means(table.mean(axis=0)[None])[0]
    if tasks == 1:
        return tuple(Interval(_rounded(centre)) for centre in centres)
    draws = means(bootstrap_means(table, resamples=resamples, seed=seed))
    tail = (1.0 - level) / 2
    lows, highs = np.nanquantile(draws, [tail, 1 - tail], axis=0)
    return tuple(
        Interval(_rounded(centre), _rounded(low), _rounded(high))
        for centre, low, high in zip(centres, lows, highs, strict=True)
    )


def _rounded(value: float) -> float:
    return round(float(value), _DECIMALS) + 0.0
