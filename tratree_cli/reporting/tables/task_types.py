"""Average reward by type of task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tratree_cli.display.blocks import COUNT, TEXT, Cell, Column, Row, Table
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import EvalSet, cohort_label, eval_sets


def tables(data: ReportData) -> Iterator[Table]:
    """A table for every environment and split whose tasks are of several types."""
    for eval_set in eval_sets(data.main):
        if (table := _table(data.main, eval_set)) is not None:
            yield table


def _table(groups: Sequence[Cohort], eval_set: EvalSet) -> Table | None:
    """Average reward by type of task at ``eval_set``; None when all tasks are of one type.

    Policies or types, whichever take more room as heads, go down the page, which is long.
    """
    groups = [group for group in groups if eval_set.holds(group)]
    types: dict[str, int] = {}
    for group in groups:
        for kind in group.runs[0].evaluation.metrics.types:
            types[kind.name] = max(types.get(kind.name, 0), kind.tasks)
    if len(types) < 2:
        return None
    names = sorted(types)
    if _room(cohort_label(group, groups) for group in groups) > _room(names):
        heads = [Column("Policy", TEXT), *(Column(f"{name} ({types[name]})") for name in names)]
        lines = [
            (Cell(cohort_label(group, groups)), *(_type_cell(group, name) for name in names))
            for group in groups
        ]
        counted = ["In brackets: tasks of the type."]
    else:
        heads = [Column("Type", TEXT), Column("Tasks", COUNT)]
        heads += [Column(cohort_label(group, groups)) for group in groups]
        lines = [
            (Cell(name), Cell(types[name]), *(_type_cell(group, name) for group in groups))
            for name in names
        ]
        counted = []
    rough = "Few tasks of a type make a rough figure; intervals are over tasks of the type."
    return Table(
        key=f"types-{eval_set.environment or 'all'}-{eval_set.split or 'all'}",
        title=f"Average reward by type of task, {eval_set.title}",
        columns=tuple(heads),
        rows=tuple(map(Row, lines)),
        notes=(*counted, rough),
    )


def _room(heads: Iterable[str]) -> int:
    """Characters that columns with these heads take; a figure takes some by itself."""
    return sum(max(len(head), 6) for head in heads)


def _type_cell(group: Cohort, name: str) -> Cell:
    reward = group.by_type.get(name)
    return Cell() if reward is None else Cell(reward.value, reward.low, reward.high)
