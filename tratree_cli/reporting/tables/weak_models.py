"""Tables 6 and 7: weak models by themselves, and what the strong model learns from each."""

from __future__ import annotations

from tratree_cli.display.blocks import TEXT, Cell, Column, Row, Table
from tratree_cli.methods.registry import shown_in
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import eval_sets, several_within
from tratree_cli.reporting.tables.reward_cells import cohort_of, reward_cell, spread_note


def table(data: ReportData) -> Table | None:
    """Weak model × method; None where there is one weak model alone."""
    own = [
        group
        for group in data.cohorts
        if group.descriptor.weak and set(group.descriptor.varied) <= {"demos.limit"}
    ]
    several = several_within(own, lambda group: str(group.descriptor.parameters.get("demos.limit")))
    if not several_within(own, lambda group: _weak_name(group, several)):
        return None
    where = eval_sets(own)
    rows = []
    for weak in dict.fromkeys(_weak_name(group, several) for group in own):
        members = [group for group in own if _weak_name(group, several) == weak]
        for method in shown_in("tables_6_7"):
            groups = [cohort_of(members, method.name, eval_set) for eval_set in where]
            if any(groups):
                rows.append(Row((Cell(weak), Cell(method.title), *map(reward_cell, groups))))
    columns = (Column("Weak model", TEXT), Column("Method", TEXT))
    return Table(
        "tables-6-7",
        "Tables 6 and 7: quality of the weak model, average reward",
        (*columns, *(Column(eval_set.title) for eval_set in where)),
        tuple(rows),
        spread_note(own),
    )


def _weak_name(group: Cohort, several: bool) -> str:
    """The weak model, with its number of demonstrations where that was varied."""
    name = group.descriptor.weak
    if not several:
        return name
    return f"{name}, {group.descriptor.parameters.get('demos.limit', '?')} demos"
