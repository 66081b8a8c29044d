"""The table that a first run ends with: what each policy earned, and what it was given.

Reward and data budget stand in one row on purpose: a method that saw a hundred times more episodes
is not the same comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tratree_cli.display.blocks import (
    COUNT,
    NUMBER,
    PERCENT,
    TEXT,
    Cell,
    Column,
    Row,
    Table,
)
from tratree_cli.reporting.cohorts import Cohort, seeds_in_words
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import environment_title

_ALWAYS = 3
"""Columns that stay even where they are empty: policy, reward, success."""


def tables(data: ReportData) -> Iterator[Table]:
    """A table for each evaluation protocol: no column mixes two."""
    named = dict.fromkeys(group.descriptor.protocol for group in data.main)
    for number, protocol in enumerate(named):
        groups = tuple(group for group in data.main if group.descriptor.protocol == protocol)
        yield _table(groups, f"summary-{number + 1}" if number else "summary")


def _table(groups: Sequence[Cohort], key: str) -> Table:
    """One row a cohort: average reward with interval, success rates, data used.

    Where rows have unequally many training seeds, their number stands in the row.
    """
    environments = {group.descriptor.environment for group in groups}
    splits = {group.descriptor.task_set for group in groups}
    several = len(environments) > 1 or len(splits) > 1
    unequal = len({_seeds_cell(group) for group in groups if group.seeds != (None,)}) > 1
    where = ", ".join(
        sorted(
            f"{environment_title(environment)} ({split})"
            for environment, split in _eval_sets(groups)
        )
    )
    columns = (
        Column("Policy", TEXT),
        Column("Avg reward", NUMBER),
        Column("Success", PERCENT),
        Column("Strict", PERCENT),
        Column("Seeds", COUNT),
        Column("Demos", COUNT),
        Column("Episodes", COUNT),
    )
    strict = any(group.mean("perfect") != group.mean("success") for group in groups)
    rows = [_cells(group, several, unequal, strict) for group in groups]
    # A column in which nothing is known (a single evaluation without lineage) says nothing.
    shown = [
        index
        for index in range(len(columns))
        if index < _ALWAYS or any(row[index].value is not None for row in rows)
    ]
    titles = [columns[index].title for index in shown]
    return Table(
        key=key,
        title=f"Average reward on {where}" if where else "Average reward",
        columns=tuple(columns[index] for index in shown),
        rows=tuple(Row(tuple(row[index] for index in shown)) for row in rows),
        notes=_notes(groups, titles),
    )


def _cells(group: Cohort, several: bool, unequal: bool, strict: bool) -> tuple[Cell, ...]:
    reward = group.reward
    name = group.name
    if several:
        where = environment_title(group.descriptor.environment)
        name = f"{name} ({where} {group.descriptor.task_set})"
    return (
        Cell(name),
        Cell() if reward is None else Cell(reward.value, reward.low, reward.high, sd=group.spread),
        Cell(group.mean("success")),
        # Where the environment's own success is the same as a reward of 1, one column says it.
        Cell(group.mean("perfect") if strict else None),
        # A scripted policy has no training seed; where all others have equally many a note says so.
        Cell(_seeds_cell(group) if unequal and group.seeds != (None,) else None),
        Cell(group.budget.demonstrations),
        Cell(group.budget.episodes),
    )


def _seeds_cell(group: Cohort) -> int | str:
    """The number of training seeds, and of orders of rows where they have several."""
    orders = sorted(set(group.orders))
    if orders == [1]:
        return len(group.seeds)
    return f"{len(group.seeds)} × {' to '.join(map(str, dict.fromkeys((orders[0], orders[-1]))))}"


def _eval_sets(groups: Sequence[Cohort]) -> set[tuple[str, str]]:
    return {
        (group.descriptor.environment, group.descriptor.task_set)
        for group in groups
        if group.descriptor.environment
    }


def _notes(groups: Sequence[Cohort], columns: Sequence[str]) -> tuple[str, ...]:
    counts = {run.evaluation.metrics.tasks for group in groups for run in group.runs}
    tasks = str(*counts) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    seeds = max(len(group.seeds) for group in groups)
    # Over one task there is no interval, and the table's warnings say so.
    over = "of one task" if counts == {1} else f"with a 95 % bootstrap interval over {tasks} tasks"
    strict = ", strict success a reward of 1" if "Strict" in columns else ""
    notes = [
        f"Reward times 100 {over}; success is the environment's own definition{strict}, in percent."
    ]
    if "Demos" in columns or "Episodes" in columns:
        notes.append(
            "Demos and episodes: expert demonstrations learned from, and episodes whose reward "
            "was read before the evaluation."
        )
    orders = seeds_in_words(groups).partition(" × ")[2]
    if seeds > 1:
        fewer = min(len(group.seeds) for group in groups if group.seeds != (None,)) < seeds
        span = "the training seeds of a row" if fewer else f"{seeds} training seeds"
        notes.append(f"Mean over {span}, ± the standard deviation over them.")
    if orders:
        words = f"{seeds} seeds" if seeds > 1 else "1 seed"
        notes.append(
            f"{words} × {orders}: the orders in which a seed's rows are learned are averaged "
            "before anything is said over seeds."
        )
    return tuple(notes)
