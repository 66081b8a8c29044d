"""What each method's data were made of: successes, near misses, and failures by ending."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tratree_cli.display.blocks import COUNT, PERCENT, TEXT, Cell, Column, Row, Table
from tratree_cli.formats.strata import LOW, NEAR, NEAR_MISS, STRATA, SUCCESS
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import cohort_label
from tratree_cli.reporting.training_data import DataSide, data_sides

if TYPE_CHECKING:
    from tratree_store import Store

    from tratree_cli.reporting.cohorts import Cohort

_TITLES = {SUCCESS: "Success", NEAR_MISS: "Near miss", LOW: "Low score"}


def table(data: ReportData) -> Table | None:
    """A row for every side of what a trained policy read, its seeds added up; None without any."""
    if data.store is None:
        return None
    found = [
        (cohort_label(group, data.cohorts), side)
        for group in data.cohorts
        for side in _sides(data.store, group)
    ]
    if not found:
        return None
    seen = {name for _, side in found for name in side.strata}
    names = [name for name in STRATA if name in seen or name in (SUCCESS, NEAR_MISS, LOW)]
    return Table(
        key="training-data",
        title="What the data were made of",
        columns=(
            Column("Policy", TEXT),
            Column("Side", TEXT),
            Column("Rows", COUNT),
            *(Column(_TITLES.get(name, name.capitalize()), PERCENT) for name in names),
        ),
        rows=tuple(_row(label, side, names) for label, side in found),
        notes=(
            "The trajectories that each policy's own training read, in percent of its rows, the "
            "seeds added up; what its initial model read is not among it. Success: G of 1. Near "
            f"miss and low score: ended by itself with a G from {NEAR:g} on, or below. The other "
            "columns: how the rest ended. `pairs.leave_out` leaves one of these out.",
        ),
    )


def _sides(store: Store, group: Cohort) -> list[DataSide]:
    """What the group's policies read, each policy once, side by side."""
    policies = {
        row.lineage.policy.recipe: row.lineage.policy
        for row in group.runs
        if row.lineage is not None and row.lineage.policy is not None
    }
    sides: dict[str, Counter[str]] = {}
    for policy in policies.values():
        for side in data_sides(store, policy):
            sides.setdefault(side.side, Counter()).update(side.strata)
    return [DataSide(side, strata) for side, strata in sides.items() if strata]


def _row(label: str, side: DataSide, names: list[str]) -> Row:
    rows = side.strata.total()
    shares = (100 * side.strata[name] / rows for name in names)
    return Row((Cell(label), Cell(side.side), Cell(rows), *map(Cell, shares)))
