"""The tree that opens a report: the one whose valid branches end furthest apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tratree_cli.reporting.environments import in_each_environment
from tratree_cli.reporting.figures.outlines import outlines
from tratree_cli.reporting.report_data import ReportData

if TYPE_CHECKING:
    from tratree_cli.display.blocks import Block


def blocks(data: ReportData) -> tuple[Block, ...]:
    """The most telling tree of every environment."""
    drawn = {
        environment: tuple(
            replace(one, title=one.title.replace("Tree of", "The most telling tree:", 1))
            for one in outlines(tree, 0, 1)
        )
        for environment, tree in data.trees.items()
    }
    return in_each_environment(drawn, data)
