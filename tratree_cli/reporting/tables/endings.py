"""How many episodes ended in which way."""

from __future__ import annotations

from collections.abc import Mapping

from tratree_cli.display.blocks import COUNT, TEXT, Cell, Column, Row, Table
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.reporting.selection import cohort_label


def table(data: ReportData) -> Table:
    """How many episodes ended in which way, over all seeds."""
    names = sorted({end for group in data.main for row in group.runs for end in _endings(row)})
    return Table(
        key="endings",
        title="How episodes ended",
        columns=(Column("Policy", TEXT), *(Column(name, COUNT) for name in names)),
        rows=tuple(
            Row(
                (
                    Cell(cohort_label(group, data.main)),
                    *(
                        Cell(sum(_endings(row).get(name, 0) for row in group.runs))
                        for name in names
                    ),
                )
            )
            for group in data.main
        ),
    )


def _endings(row: EvaluationRow) -> Mapping[str, int]:
    return row.evaluation.metrics.endings or {}
