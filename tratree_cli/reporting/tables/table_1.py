"""Table 1: methods and environments, average reward and success rate."""

from __future__ import annotations

from tratree_cli.display.blocks import PERCENT, TEXT, Cell, Column, Row, Table
from tratree_cli.methods.registry import shown_in
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import eval_sets, main_cohorts
from tratree_cli.reporting.tables.reward_cells import (
    RANKING_NOTE,
    cohort_of,
    paper_row,
    ranked,
    reward_cell,
    spread_note,
    success_cell,
)


def table(data: ReportData) -> Table | None:
    """One row a method of the paper's Table 1; best and second of a column are marked."""
    methods = [method.name for method in shown_in("table_1")]
    chosen = [group for group in main_cohorts(data.cohorts) if group.method in methods]
    if not chosen:
        return None
    where = eval_sets(chosen)
    columns = [Column("Method", TEXT)]
    for eval_set in where:
        columns.append(Column(f"{eval_set.title} reward"))
        columns.append(Column(f"{eval_set.title} success", PERCENT))
    rows = []
    for method in methods:
        own = [cohort_of(chosen, method, eval_set) for eval_set in where]
        if any(own):
            cells = [cell for group in own for cell in (reward_cell(group), success_cell(group))]
            rows.append(Row((Cell(next(group.name for group in own if group)), *cells)))
        if data.with_paper:
            rows += paper_row(1, method, where, success=True)
    return Table(
        "table-1",
        "Table 1: methods and environments",
        tuple(columns),
        ranked(rows),
        (*spread_note(chosen), RANKING_NOTE),
    )
