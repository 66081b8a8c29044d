"""Tables 2, 4 and 8: the same methods on other strong base models."""

from __future__ import annotations

from tratree_cli.display.blocks import TEXT, Cell, Column, Row, Table
from tratree_cli.methods.registry import shown_in
from tratree_cli.reporting.published import published
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import EvalSet, eval_sets, several_within
from tratree_cli.reporting.tables.reward_cells import (
    cohort_of,
    printed_for,
    reward_cell,
    spread_note,
)


def table(data: ReportData) -> Table | None:
    """The weak models, then every strong family with its methods; None with one family alone."""
    methods = shown_in("tables_2_4_8")
    names = [method.name for method in methods]
    own = [g for g in data.cohorts if not g.descriptor.varied and g.method in names]
    families = list(dict.fromkeys(g.descriptor.family for g in own if g.descriptor.family))
    several = several_within(own, lambda group: group.descriptor.family)
    if not families or not (several or data.with_paper):
        return None
    where = eval_sets([group for group in own if group.descriptor.family])
    rows = []
    for method in (method for method in methods if method.role == "weak"):
        alone = [g for g in own if g.method == method.name and not g.descriptor.family]
        for weak in dict.fromkeys(group.descriptor.weak for group in alone):
            members = [group for group in alone if group.descriptor.weak == weak]
            cells = (reward_cell(cohort_of(members, method.name, e)) for e in where)
            rows.append(Row((Cell(weak or "weak"), Cell(method.title), *cells)))
    for family in families:
        members = [group for group in own if group.descriptor.family == family]
        for method in methods:
            groups = [cohort_of(members, method.name, eval_set) for eval_set in where]
            if any(groups):
                rows.append(Row((Cell(family), Cell(method.title), *map(reward_cell, groups))))
    if data.with_paper:
        rows += _paper_rows(where)
    columns = (Column("Base LLM", TEXT), Column("Method", TEXT))
    return Table(
        "tables-2-4-8",
        "Tables 2, 4 and 8: other base models, average reward",
        (*columns, *(Column(eval_set.title) for eval_set in where)),
        tuple(rows),
        spread_note(own),
    )


def _paper_rows(where: tuple[EvalSet, ...]) -> list[Row]:
    printed = published(2, 4, 8)
    rows = []
    for family in dict.fromkeys(figure.family for figure in printed):
        for method in shown_in("tables_2_4_8"):
            figures = [f for f in printed if (f.family, f.method) == (family, method.name)]
            rewards = [next((f.reward for f in figures if printed_for(f, e)), None) for e in where]
            if any(reward is not None for reward in rewards):
                names = (Cell(family), Cell(method.title))
                rows.append(Row((*names, *map(Cell, rewards)), paper=True))
    return rows
