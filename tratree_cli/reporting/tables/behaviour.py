"""How episodes went: a reward can rise because more of them finish or because they end better."""

from __future__ import annotations

from tratree_cli.display.blocks import COUNT, PERCENT, TEXT, Cell, Column, Row, Table
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import cohort_label


def table(data: ReportData) -> Table:
    """Perfect and finished episodes, steps, invalid actions, and episodes without a score."""
    return Table(
        key="behaviour",
        title="How episodes went",
        columns=(
            Column("Policy", TEXT),
            Column("Perfect", PERCENT),
            Column("Finished", PERCENT),
            Column("Steps"),
            Column("Invalid"),
            Column("Scored", COUNT),
            Column("Unscored", COUNT),
        ),
        rows=tuple(
            Row(
                (
                    Cell(cohort_label(group, data.main)),
                    Cell(group.mean("perfect")),
                    Cell(group.mean("finished")),
                    Cell(group.mean("steps")),
                    Cell(group.mean("invalid")),
                    Cell(sum(run.evaluation.metrics.episodes for run in group.runs)),
                    Cell(sum(run.evaluation.metrics.unscored for run in group.runs)),
                )
            )
            for group in data.main
        ),
        notes=(
            "Perfect: reward 1. Finished: ended by the agent's own doing, not by the step limit. "
            "Steps and invalid actions are means per episode.",
        ),
    )
