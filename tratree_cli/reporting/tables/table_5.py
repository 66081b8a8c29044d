"""Table 5: pairs from the tree against complete trajectories paired by reward alone."""

from __future__ import annotations

from tratree_cli.display.blocks import TEXT, Cell, Column, Row, Table
from tratree_cli.methods.registry import BASELINE, shown_in
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import eval_sets, main_cohorts
from tratree_cli.reporting.tables.reward_cells import (
    cohort_of,
    paper_row,
    ranked,
    reward_cell,
    spread_note,
)


def table(data: ReportData) -> Table | None:
    """One row a method; None without the control that the table is about (unstructured pairs)."""
    methods = shown_in("table_5")
    names = [method.name for method in methods]
    controls = [m.name for m in methods if m.group != "main" and m.name != BASELINE]
    chosen = [group for group in main_cohorts(data.cohorts) if group.method in names]
    if not any(group.method in controls for group in chosen):
        return None
    where = eval_sets(chosen)
    rows = []
    for method in methods:
        own = [cohort_of(chosen, method.name, eval_set) for eval_set in where]
        if any(own):
            rows.append(Row((Cell(method.title), *map(reward_cell, own))))
        if data.with_paper:
            rows += paper_row(5, method.name, where)
    return Table(
        "table-5",
        "Table 5: tree pairs against unstructured pairs, average reward",
        (Column("Method", TEXT), *(Column(eval_set.title) for eval_set in where)),
        ranked(rows),
        spread_note(chosen),
    )
