"""Fig. 5: the trained policies on the task on which they differ most, and their scores by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tratree_cli.display.blocks import Figure, Point, Series
from tratree_cli.evaluation.results import EpisodeResult
from tratree_cli.methods.registry import shown_in, title
from tratree_cli.reporting.environments import in_each_environment
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import EvaluationRow

if TYPE_CHECKING:
    from tratree_cli.display.blocks import Block


def blocks(data: ReportData) -> tuple[Block, ...]:
    """The case study of every environment, of the first seed."""
    if data.store is None:
        return ()
    drawn = {environment: case_study(rows) for environment, rows in data.main_rows.items()}
    return in_each_environment(drawn, data)


def case_study(rows: Sequence[EvaluationRow]) -> tuple[Block, ...]:
    """The policies of Fig. 5 compared on the split on which most of them were evaluated."""
    from tratree_cli.display.case_study import compare_on_task, most_telling_task
    from tratree_cli.formats.rollouts import read_rollouts

    methods = [record.name for record in shown_in("figure_5")]
    splits: dict[str, dict[str, EvaluationRow]] = {}
    for row in rows:
        if row.descriptor.method in methods and row.lineage is not None:
            by_method = splits.setdefault(row.descriptor.task_set, {})
            by_method.setdefault(row.descriptor.method, row)
    most = max(splits.values(), key=len, default={})
    shown = [most[name] for name in methods if name in most]
    policies = [
        (title(row.descriptor.method), read_rollouts(row.lineage.evaluation.path))
        for row in shown
        if row.lineage is not None
    ]
    task = most_telling_task(policies) if len(policies) > 1 else None
    if task is None:
        return ()
    results = {title(row.descriptor.method): row.evaluation.results for row in shown}
    curves = task_figure(task, results)
    return (compare_on_task(task, policies, telling=True), *filter(None, [curves]))


def task_figure(task: str, results: Mapping[str, Sequence[EpisodeResult]]) -> Figure | None:
    """Fig. 3 as the paper draws it: one task, the score of each policy's first episode by step.

    ``results`` maps a policy's name to its episodes (of any tasks).
    """
    series = []
    for name, episodes in results.items():
        episode = next((e for e in episodes if e.task == task and e.curve), None)
        if episode is not None:
            points = (Point(step, 100 * score) for step, score in enumerate(episode.curve, start=1))
            series.append(Series(name, tuple(points)))
    if not series:
        return None
    return Figure(
        key="figure-3-task",
        title=f"Task {task}: score by step",
        kind="lines",
        x_label="Step",
        y_label="Score × 100",
        series=tuple(series),
        alt=". ".join(f"{line.name} ends at {line.points[-1].y:.0f}" for line in series),
    )
