"""The weak model's trajectory trees in figures, a table for every environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tratree_cli.display.blocks import NUMBER, TEXT, Cell, Column, Row, Table
from tratree_cli.reporting.environments import in_each_environment
from tratree_cli.reporting.report_data import ReportData

if TYPE_CHECKING:
    from tratree_cli.display.blocks import Block


def tables(data: ReportData) -> tuple[Block, ...]:
    """The figures that building each forest recorded."""
    from tratree_cli.display.summaries import tree_facts

    return in_each_environment(
        {
            environment: [tree_table("Trajectory trees of the weak model", tree_facts(t.summary))]
            for environment, t in data.trees.items()
        },
        data,
    )


def tree_table(title: str, figures: Mapping[str, float | int | str]) -> Table:
    """A forest (or one tree, or the mean of several) in figures."""
    numbers = all(isinstance(value, int | float) for value in figures.values())
    return Table(
        key="tree",
        title=title,
        columns=(Column("Figure", TEXT), Column("Value", NUMBER if numbers else TEXT)),
        rows=tuple(Row((Cell(name), Cell(value))) for name, value in figures.items()),
    )
