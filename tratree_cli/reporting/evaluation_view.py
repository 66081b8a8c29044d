"""What ``tratree show`` prints for an evaluation: its figures, and the tasks that decided them."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from tratree_cli.display.blocks import COUNT, RATIO, TEXT, Cell, Column, Row, Table
from tratree_cli.display.terminal_tables import FittingTable
from tratree_cli.display.text import one_line
from tratree_cli.evaluation.artifact import Evaluation
from tratree_cli.evaluation.metrics import task_rewards
from tratree_cli.reporting.build_report import build_report
from tratree_cli.reporting.render import terminal
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import EvaluationRow


def evaluation_view(evaluation: Evaluation, ref: str = "", tasks: int = 10) -> RenderableType:
    """One evaluation in full: every table that one policy can fill, and its ``tasks`` worst."""
    report = build_report(
        ReportData((EvaluationRow(evaluation, ref=ref),)),
        title=evaluation.descriptor.label,
        only=("summary", "figures", "details", "cost"),
    )
    parts: list[RenderableType] = [terminal.render(report, None)]
    worst = _worst_tasks(evaluation, tasks)
    if worst.rows:
        parts += [Text(""), FittingTable(worst)]
    if evaluation.descriptor.parameters:
        settings = ", ".join(
            f"{key}={value}" for key, value in sorted(evaluation.descriptor.parameters.items())
        )
        parts += [Text(""), Text(one_line(settings), style="dim")]
    return Group(*parts)


def _worst_tasks(evaluation: Evaluation, limit: int) -> Table:
    rewards = task_rewards(evaluation.results, evaluation.descriptor.best_of)
    endings: dict[str, list[str]] = {}
    steps: dict[str, list[int]] = {}
    for result in evaluation.results:
        endings.setdefault(result.task, []).append(result.end)
        steps.setdefault(result.task, []).append(result.steps)
    order = sorted(rewards, key=lambda task: (rewards[task], task))[:limit]
    return Table(
        "worst",
        "Tasks with the lowest reward",
        (
            Column("Task", TEXT),
            Column("Reward", RATIO),
            Column("Steps", COUNT),
            Column("Ended", TEXT),
        ),
        tuple(
            Row(
                (
                    Cell(task),
                    Cell(rewards[task]),
                    Cell(max(steps[task])),
                    Cell(", ".join(sorted(set(endings[task])))),
                )
            )
            for task in order
        ),
    )
