"""Every setting that a study varied, one at a time, beside the recipe's own value.

Table 3 and Fig. 4 are the paper's two sweeps; any other parameter can be swept too, and what was
computed must be shown. Rows differ from the recipe in the named setting alone (or, in a grid, in
all that are named).
"""

from __future__ import annotations

from collections.abc import Sequence

from tratree_cli.evaluation.cohorts import Cohort
from tratree_cli.evaluation.document import PERCENT, TEXT, Cell, Column, Row, Table
from tratree_cli.evaluation.selection import main_cohorts, places


def sweep_table(groups: Sequence[Cohort]) -> Table | None:
    """Method × setting, average reward and success; None where nothing was varied."""
    varied = [group for group in groups if group.descriptor.varied]
    if not varied:
        return None
    where = places(varied)
    home = main_cohorts(groups)
    rows = []
    for method in dict.fromkeys(group.method for group in varied):
        mine = [group for group in varied if group.method == method]
        own = [group for group in home if group.method == method]
        settings = dict.fromkeys(_setting(group) for group in mine)
        for name, members in [("the recipe's own", own), *((s, _with(mine, s)) for s in settings)]:
            cells = []
            for place in where:
                found = next((group for group in members if place.holds(group)), None)
                cells += _cells(found)
            if any(cell.value is not None for cell in cells):
                rows.append(Row((Cell(mine[0].name), Cell(name), *cells)))
    columns = [Column("Policy", TEXT), Column("Setting", TEXT)]
    for place in where:
        columns += [Column(f"{place.title} reward"), Column(f"{place.title} success", PERCENT)]
    seeds = sorted({len(group.runs) for group in varied})
    span = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return Table(
        "sweep",
        "Settings that were varied",
        tuple(columns),
        tuple(rows),
        (
            f"Training seeds per row: {span} (the recipe's own may have more). Described, not "
            "tested: the best of many settings looks better than it is.",
        ),
    )


def _setting(group: Cohort) -> str:
    descriptor = group.descriptor
    return ", ".join(f"{name}={descriptor.parameters.get(name)}" for name in descriptor.varied)


def _with(groups: Sequence[Cohort], setting: str) -> list[Cohort]:
    return [group for group in groups if _setting(group) == setting]


def _cells(group: Cohort | None) -> list[Cell]:
    if group is None or group.reward is None:
        return [Cell(), Cell()]
    reward = group.reward
    return [
        Cell(reward.value, reward.low, reward.high, sd=group.spread),
        Cell(group.mean("success")),
    ]
