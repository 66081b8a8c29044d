"""Any figure of an episode over a cohort: by task for paired intervals, by seed for tests."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from tratree_cli.evaluation.behaviour import Figure, by_task
from tratree_cli.evaluation.compare import PairedDifference, paired_difference
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.rows import EvaluationRow


def task_means(cohort: Cohort, figure: Figure) -> dict[str, float]:
    """The figure of each task: over the runs of a seed that know it, then over seeds."""
    found: dict[str, dict[object, list[float]]] = {}
    for number, run in enumerate(cohort.runs):
        tasks = by_task(run.evaluation.results, figure, run.descriptor.best_of)
        for task, value in tasks.items():
            found.setdefault(task, {}).setdefault(_seed(run, number), []).append(value)
    return {task: fmean(map(fmean, seeds.values())) for task, seeds in found.items()}


def difference(own: Cohort, other: Cohort, figure: Figure) -> PairedDifference:
    """Own minus other times 100 on the same tasks, with the interval of the report."""
    metrics = other.runs[0].evaluation.metrics
    return paired_difference(
        task_means(own, figure),
        task_means(other, figure),
        resamples=metrics.resamples,
        level=metrics.level,
        seed=metrics.seed,
    )


def seed_means(
    cohort: Cohort, figure: Callable[[EvaluationRow], float | None]
) -> tuple[float, ...]:
    """A figure of a run for each training seed, in their order.

    Runs of one seed, which differ in the order of training rows, are averaged first: they are no
    independent draws. Runs without a seed stand for themselves.
    """
    by_seed: dict[object, list[float]] = {}
    for number, run in enumerate(cohort.runs):
        if (value := figure(run)) is not None:
            by_seed.setdefault(_seed(run, number), []).append(value)
    return tuple(fmean(values) for values in by_seed.values())


def _seed(run: EvaluationRow, number: int) -> object:
    """What runs share that are averaged before all others."""
    seed = run.descriptor.seed
    return ("run", number) if seed is None else seed
