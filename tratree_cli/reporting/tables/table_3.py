"""Table 3: the effects of tree breadth (trajectories per task) and of β."""

from __future__ import annotations

from tratree_cli.display.blocks import TEXT, Cell, Column, Row, Table
from tratree_cli.methods.registry import method, rank, shown_in, title
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.published import published
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import eval_sets, of_main_models
from tratree_cli.reporting.tables.reward_cells import first, printed_for, reward_cell, spread_note

_SETTINGS = {"dpo.beta", "explore.m"}


def table(data: ReportData) -> Table | None:
    """Only what the paper's table has: cells that differ from the recipe in breadth or β alone."""
    methods = [record.name for record in shown_in("table_3")]
    own = [
        group
        for group in of_main_models(data.cohorts)
        if group.method in methods
        and _SETTINGS & set(group.descriptor.parameters)
        and set(group.descriptor.varied) <= _SETTINGS
    ]
    if not any(group.descriptor.varied for group in own):
        return None
    where = eval_sets(own)
    ordered = sorted(own, key=lambda group: (rank(group.method), _order(group)))
    rows = []
    for cell in dict.fromkeys(map(_cell, ordered)):
        rewards = (
            reward_cell(first(own, lambda g, c=cell, e=e: _cell(g) == c and e.holds(g)))  # type: ignore[misc]
            for e in where
        )
        name, breadth, beta = cell
        rows.append(Row((Cell(title(name)), Cell(breadth), Cell(beta), *rewards)))
    if data.with_paper:
        for figure in published(3):
            if any(printed_for(figure, eval_set) for eval_set in where):
                cells = (Cell(figure.reward if printed_for(figure, e) else None) for e in where)
                settings = (_plain(figure.breadth), _plain(figure.beta))
                rows.append(Row((Cell(figure.label), *settings, *cells), paper=True))
    columns = (Column("Method", TEXT), Column("Tree", TEXT), Column("β", TEXT))
    return Table(
        "table-3",
        "Table 3: tree breadth and β, average reward",
        (*columns, *(Column(eval_set.title) for eval_set in where)),
        tuple(rows),
        spread_note(own),
    )


def _cell(group: Cohort) -> tuple[str, str, str]:
    """Method, breadth and β: what tells the table's rows apart."""
    parameters = group.descriptor.parameters
    # Imitation of a searched path has no β.
    has_beta = method(group.method).learns_from == "pairs"
    beta = str(parameters.get("dpo.beta", "–")) if has_beta else "–"
    return group.method, str(parameters.get("explore.m", "–")), beta


def _order(group: Cohort) -> tuple[float, float]:
    parameters = group.descriptor.parameters
    return float(parameters.get("explore.m", 0)), float(parameters.get("dpo.beta", 0))


def _plain(value: float | None) -> Cell:
    return Cell(None if value is None else f"{value:g}")
