"""What each policy was given to learn from, because unequal data makes unequal comparisons."""

from __future__ import annotations

from tratree_cli.display.blocks import COUNT, TEXT, Cell, Column, Row, Table
from tratree_cli.evaluation.artifact import UNKNOWN_BUDGET
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import cohort_label


def table(data: ReportData) -> Table | None:
    """What each method was given to learn from; unequal rows are unequal comparisons.

    None where nothing is known of any of them.
    """
    if all(group.budget == UNKNOWN_BUDGET for group in data.cohorts):
        return None
    return Table(
        key="budget",
        title="Data and training behind each policy",
        columns=(
            Column("Policy", TEXT),
            Column("Demos", COUNT),
            Column("Episodes", COUNT),
            Column("Updates", COUNT),
            Column("Tokens", COUNT),
        ),
        rows=tuple(
            Row(
                (
                    Cell(cohort_label(group, data.cohorts)),
                    Cell(group.budget.demonstrations),
                    Cell(group.budget.episodes),
                    Cell(group.budget.optimizer_steps),
                    Cell(group.budget.tokens),
                )
            )
            for group in data.cohorts
        ),
        notes=(
            "Demos: expert demonstrations. Episodes: those whose reward was read for training. "
            "Updates: optimizer steps of the evaluated model's weights. A dash: not known.",
        ),
    )
