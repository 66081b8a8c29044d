"""Does a difference hold for other training seeds? Tests across seeds, corrected for their number.

A mean of five seeds is weak evidence by itself, so every test comes with its effect size; and a
test that cannot be made gives the reason in a sentence instead of a number. scipy is imported only
when there is something to test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

ONE_SEED = "one seed, no test"
_NOTHING = 1e-12


@dataclass(frozen=True)
class SeedTest:
    """A two-sided test; ``p`` is None when there is none, and ``note`` gives the reason."""

    p: float | None = None
    statistic: float | None = None
    freedom: float | None = None
    note: str = ""


def welch(own: Sequence[float], baseline: Sequence[float]) -> SeedTest:
    """Welch's t-test of two sets of runs with unequal variances (unpaired seeds)."""
    trouble = _trouble(own) or _trouble(baseline)
    if trouble:
        return SeedTest(note=trouble)
    if variance(own) < _NOTHING and variance(baseline) < _NOTHING:
        return SeedTest(note=_without_variation(fmean(own) - fmean(baseline)))
    from scipy import stats

    result = stats.ttest_ind(own, baseline, equal_var=False)
    return SeedTest(float(result.pvalue), float(result.statistic), float(result.df))


def paired(own: Mapping[int, float], baseline: Mapping[int, float]) -> SeedTest:
    """Paired t-test over the training seeds that both have (seed to average reward)."""
    seeds = sorted(own.keys() & baseline.keys())
    if not seeds:
        return SeedTest(note="no seed in common, no paired test")
    first, second = [own[seed] for seed in seeds], [baseline[seed] for seed in seeds]
    trouble = _trouble(first) or _trouble(second)
    if trouble:
        return SeedTest(note=trouble)
    differences = [a - b for a, b in zip(first, second, strict=True)]
    if variance(differences) < _NOTHING:
        return SeedTest(note=_without_variation(fmean(differences)))
    from scipy import stats

    result = stats.ttest_rel(first, second)
    return SeedTest(float(result.pvalue), float(result.statistic), float(result.df))


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's step-down adjustment; None (no test was made) stays None and does not count."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for position, (p, index) in enumerate(known):
        running = max(running, min(1.0, p * (len(known) - position)))
        adjusted[index] = running
    return tuple(adjusted)


def hedges_g(own: Sequence[float], baseline: Sequence[float]) -> float | None:
    """Standardised mean difference with Hedges' small-sample correction.

    Cohen's d by the pooled standard deviation times 1 - 3 / (4 (m + n) - 9). None for fewer than
    two runs on a side, for runs that are no numbers, and where nothing varies.
    """
    if _trouble(own) or _trouble(baseline):
        return None
    freedom = len(own) + len(baseline) - 2
    pooled = ((len(own) - 1) * variance(own) + (len(baseline) - 1) * variance(baseline)) / freedom
    if pooled < _NOTHING:
        return None
    d = (fmean(own) - fmean(baseline)) / math.sqrt(pooled)
    return d * (1 - 3 / (4 * (freedom + 2) - 9))


def _trouble(runs: Sequence[float]) -> str:
    if not runs:
        return "no runs, no test"
    if len(runs) == 1:
        return ONE_SEED
    if not all(map(math.isfinite, runs)):
        return "a run has no reward, no test"
    return ""


def _without_variation(difference: float) -> str:
    if abs(difference) < _NOTHING:
        return "all runs are equal, no test"
    return "the difference is the same for every seed, so a t-test is undefined"
