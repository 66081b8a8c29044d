"""A line for every evaluation of a report: what its statistics can be done anew from."""

from __future__ import annotations

from collections.abc import Sequence

from tratree_cli.methods.registry import is_method, rank
from tratree_cli.reporting.cohorts import cohorts
from tratree_cli.reporting.document import ResultLine
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.reporting.selection import main_models


def result_lines(rows: Sequence[EvaluationRow]) -> tuple[ResultLine, ...]:
    """One line a row, sorted by environment, split, the methods' order, variant and seeds."""
    models = main_models(cohorts(rows))
    lines = [(rank(row.descriptor.method), _line(row, rows, models)) for row in rows]

    def order(ranked: tuple[tuple[int, str], ResultLine]) -> tuple[object, ...]:
        place, line = ranked
        seeds = [-1 if seed is None else seed for seed in (line.seed, line.data_seed)]
        return (line.environment, line.split, place, line.method, line.variant, *seeds)

    return tuple(line for _, line in sorted(lines, key=order))


def _line(
    row: EvaluationRow, rows: Sequence[EvaluationRow], models: dict[str, tuple[str, str]]
) -> ResultLine:
    descriptor, metrics = row.descriptor, row.evaluation.metrics
    name = descriptor.method if is_method(descriptor.method) else descriptor.label
    method, _, control = name.partition("/")
    marks = [control] if control else []
    marks += [f"{key}={descriptor.parameters.get(key)}" for key in descriptor.varied]
    family, weak = models.get(descriptor.environment, ("", ""))
    if descriptor.family and descriptor.family != family:
        marks.append(f"models.strong={descriptor.family}")
    if descriptor.weak and descriptor.weak != weak:
        marks.append(f"models.weak={descriptor.weak}")
    same = [other.descriptor for other in rows if other.descriptor.method == descriptor.method]
    if len({one.best_of for one in same}) > 1:
        marks.append(f"best_of={descriptor.best_of or 1}")
    figures = (metrics.reward, metrics.success, metrics.perfect, metrics.finished)
    reward, success, strict, finished = (None if one is None else one.value for one in figures)
    return ResultLine(
        environment=descriptor.environment,
        split=descriptor.task_set,
        method=method,
        variant="; ".join(marks),
        seed=descriptor.seed,
        data_seed=data_seed(row),
        tasks=metrics.tasks,
        reward=reward,
        success=success,
        strict=strict,
        finished=finished,
    )


def data_seed(row: EvaluationRow) -> int | None:
    """What orders the rows in training: the policy's own ``data_seed``, or its training seed."""
    own = row.descriptor.data_seed
    return row.descriptor.seed if own is None else own
