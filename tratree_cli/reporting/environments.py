"""Blocks of several environments in one report: each is named by its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tratree_cli.display.blocks import Block
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import environment_title


def in_each_environment(
    blocks: Mapping[str, Sequence[Block]], data: ReportData
) -> tuple[Block, ...]:
    """The blocks by environment; where the report has several, keys and titles name theirs."""
    several = len({row.descriptor.environment for row in data.rows}) > 1
    return tuple(
        replace(block, key=f"{block.key}-{name}", title=f"{block.title}, {environment_title(name)}")
        if several
        else block
        for name, members in blocks.items()
        for block in members
    )
