"""The most informative trees of a forest, and the widest pairs mined from them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tratree_cli.reporting.environments import in_each_environment
from tratree_cli.reporting.report_data import ReportData

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.display.blocks import Block, Outline


TREES = 3
PAIRS = 2


def blocks(data: ReportData) -> tuple[Block, ...]:
    """More trees and the widest pairs of every environment; the first tree opens the report."""
    drawn = {environment: _more(tree) for environment, tree in data.trees.items()}
    return in_each_environment(drawn, data)


def _more(tree: Entry) -> tuple[Block, ...]:
    """The next trees of a forest, and its widest pairs."""
    from tratree_cli.display.tree_outline import pair_comparison
    from tratree_cli.display.valid_actions import widest_pairs
    from tratree_cli.formats.pairs import render_pairs
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.trees.divergence_pairs import mine

    read = read_tree(tree.path)
    found = mine(read.forest)
    widest = replace(found, pairs=widest_pairs(found.pairs, read.rollouts, PAIRS))
    pairs = render_pairs(widest, read.rollouts)
    compared = (pair_comparison(pair, f"pair-{n}") for n, pair in enumerate(pairs, start=1))
    instructions = (
        read.texts[read.rollouts.trajectories[pair.chosen].instruction] for pair in widest.pairs
    )
    return (
        *outlines(tree, 1, TREES),
        *(
            replace(one, instruction=words)
            for one, words in zip(compared, instructions, strict=True)
        ),
    )


def outlines(tree: Entry, start: int, stop: int) -> tuple[Outline, ...]:
    """The most informative trees of a forest, from place ``start`` to before ``stop``."""
    from tratree_cli.display.tree_outline import informative_outlines
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.trees.search.api import search

    read = read_tree(tree.path)
    return informative_outlines(read, stop, search(read.forest))[start:]
