"""Every setting that a study varied, one at a time, beside the recipe's own value.

Table 3 and Fig. 4 are the paper's two sweeps; any other parameter can be swept too, and what was
computed must be shown. Rows differ from the recipe in the named setting alone (or, in a grid, in
all that are named, base models among them).
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from tratree_cli.display.blocks import PERCENT, TEXT, Cell, Column, Row, Table
from tratree_cli.methods.registry import rank
from tratree_cli.reporting.cohorts import Cohort, seeds_in_words, setting_order
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import EvalSet, eval_sets, several_within
from tratree_cli.reporting.tables.reward_cells import first, reward_cell, success_cell

OWN = "the recipe's own"


def table(data: ReportData) -> Table | None:
    """Method × setting, average reward and success; None where nothing was varied."""
    groups = data.cohorts
    varied = [group for group in groups if group.descriptor.varied]
    if not varied:
        return None
    where = [e for e in eval_sets(groups) if any(e.holds(group) for group in varied)]
    # The recipe's own value stands beside each setting of the same policy and the same models.
    swept = {(group.name, _models(group)) for group in varied}
    beside = [
        group
        for group in groups
        if (group.name, _models(group)) in swept
        and group.reward is not None
        and any(eval_set.holds(group) for eval_set in where)
    ]
    named = [
        role
        for role in ("family", "weak")
        if several_within(beside, attrgetter(f"descriptor.{role}"))
    ]
    rows: dict[tuple[str, str], list[Cohort]] = {}
    for group in sorted(beside, key=_order):
        rows.setdefault((group.name, _setting(group, named)), []).append(group)
    columns = [Column("Policy", TEXT), Column("Setting", TEXT)]
    for eval_set in where:
        columns.append(Column(f"{eval_set.title} reward"))
        columns.append(Column(f"{eval_set.title} success", PERCENT))
    return Table(
        "sweep",
        "Settings that were varied",
        tuple(columns),
        tuple(
            Row((Cell(policy), Cell(setting), *_cells(members, where)))
            for (policy, setting), members in rows.items()
        ),
        (
            f"Training seeds per row: {seeds_in_words(varied)} (the recipe's own may have more). "
            "Described, not tested: the best of many settings looks better than it is.",
        ),
    )


def _models(group: Cohort) -> tuple[str, str]:
    return group.descriptor.family, group.descriptor.weak


def _setting(group: Cohort, named: Sequence[str]) -> str:
    """What was varied (the recipe's own where nothing was), and the models in ``named`` roles."""
    descriptor = group.descriptor
    parts = [f"{name}={descriptor.parameters.get(name)}" for name in descriptor.varied] or [OWN]
    return ", ".join([*parts, *filter(None, (getattr(descriptor, role) for role in named))])


def _order(group: Cohort) -> tuple[object, ...]:
    return rank(group.method), group.name, _models(group), setting_order(group.descriptor)


def _cells(members: Sequence[Cohort], where: Sequence[EvalSet]) -> list[Cell]:
    """Reward and success on each set of tasks; dashes where the setting was not evaluated."""
    cells = []
    for eval_set in where:
        group = first(members, eval_set.holds)
        scored = group if group is not None and group.reward is not None else None
        cells += [reward_cell(scored), success_cell(scored)]
    return cells
