"""The most informative trees of a forest, and the widest pairs mined from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tratree_cli.reporting.environments import in_each_environment
from tratree_cli.reporting.report_data import ReportData

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.display.blocks import Block


def blocks(data: ReportData) -> tuple[Block, ...]:
    """Three trees and two pairs of every environment."""
    drawn = {environment: outlines(tree) for environment, tree in data.trees.items()}
    return in_each_environment(drawn, data)


def outlines(tree: Entry) -> tuple[Block, ...]:
    """The drawings of one forest."""
    from tratree_cli.display.tree_outline import informative_outlines, pair_comparison
    from tratree_cli.formats.pairs import render_pairs
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.trees.divergence_pairs import mine
    from tratree_cli.trees.search.api import search

    read = read_tree(tree.path)
    pairs = render_pairs(mine(read.forest, per_task=1), read.rollouts)
    widest = sorted(pairs, key=lambda pair: -pair.gap)
    return (
        *informative_outlines(read, 3, search(read.forest)),
        *(pair_comparison(pair, f"pair-{n}") for n, pair in enumerate(widest[:2], start=1)),
    )
