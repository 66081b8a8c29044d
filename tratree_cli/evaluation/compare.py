"""One policy against another on the same tasks, and how much of a gap was closed.

Policies are compared task by task, because tasks differ far more than policies do: the interval of
the paired difference is what the two intervals side by side cannot show. It covers the
choice of tasks; the variation between training runs is the subject of ``significance``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tratree_cli.evaluation.bootstrap import LEVEL, RESAMPLES, Interval, mean_interval


@dataclass(frozen=True)
class PairedDifference:
    """Own minus baseline, times 100, over the tasks that both have; ``note`` where none is."""

    tasks: int
    difference: Interval | None = None
    better: int = 0
    worse: int = 0
    note: str = ""


def paired_difference(
    own: Mapping[str, float],
    baseline: Mapping[str, float],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> PairedDifference:
    """Paired bootstrap of two policies' rewards per task (in [0, 1]) over their common tasks.

    Tasks are taken in sorted order, so the result does not depend on which came first.
    """
    shared = sorted(
        task
        for task in own.keys() & baseline.keys()
        if math.isfinite(own[task]) and math.isfinite(baseline[task])
    )
    if not shared:
        return PairedDifference(0, note="The two evaluations have no scored task in common.")
    gains = np.array([own[task] - baseline[task] for task in shared])
    note = ""
    left_out = len(own.keys() | baseline.keys()) - len(shared)
    if len(shared) == 1:
        note = "One common task only: no interval."
    elif not gains.any():
        note = "Equal on every task."
    elif left_out:
        note = f"{left_out} tasks are scored for only one of the two and are left out."
    return PairedDifference(
        tasks=len(shared),
        difference=mean_interval(gains, resamples=resamples, level=level, seed=seed).scaled(100),
        better=int((gains > 0).sum()),
        worse=int((gains < 0).sum()),
        note=note,
    )


@dataclass(frozen=True)
class GapRecovered:
    """``(own - weak) / (ceiling - weak)``, or None with the reason in ``note``."""

    recovered: float | None
    note: str = ""


ABOVE_ONE = (
    "Above 1: the ceiling is a model trained on what was at hand, not an upper bound, "
    "so a better signal can pass it."
)


def performance_gap_recovered(
    own: float | None, weak: float | None, ceiling: float | None
) -> GapRecovered:
    """The share of the gap between weak and ceiling that ``own`` closes (Burns et al., 2023).

    0 is the weak model, 1 the ceiling. The share is undefined when the ceiling is not above the
    weak model, and it may leave [0, 1] on both sides.
    """
    if own is None or weak is None or ceiling is None:
        return GapRecovered(None, "It needs the policy, the weak model and the ceiling.")
    if not all(map(math.isfinite, (own, weak, ceiling))):
        return GapRecovered(None, "One of the three rewards is not a number.")
    if ceiling - weak <= 1e-9:
        return GapRecovered(None, "The ceiling is not above the weak model: there is no gap.")
    recovered = (own - weak) / (ceiling - weak)
    if recovered > 1:
        return GapRecovered(recovered, ABOVE_ONE)
    if recovered < 0:
        return GapRecovered(recovered, "Below 0: worse than the weak model.")
    return GapRecovered(recovered)
