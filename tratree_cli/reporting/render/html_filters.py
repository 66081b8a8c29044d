"""What the templates of a page ask for: texts made harmless, figures as written, drawings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from markupsafe import Markup

from tratree_cli.display import formatting
from tratree_cli.display.blocks import (
    TEXT,
    Block,
    Branch,
    Cell,
    Column,
    Figure,
    Lane,
    Outline,
    Row,
    Table,
    Turn,
)
from tratree_cli.display.text import counted, inert, one_line
from tratree_cli.reporting.render import figure_svg, tree_svg

BRANCHES_SHOWN = 400
"""Nodes of one tree that a page lists; the artifact and ``tratree show`` have them all."""


@dataclass(frozen=True)
class ListedBranch:
    """A node of a folding list.

    ``parts``: its children stand in a list of their own inside it. ``closes`` such lists end after
    it, each with the node that it stands in.
    """

    branch: Branch
    open: bool
    parts: bool
    closes: int = 0


@dataclass(frozen=True)
class ListedTree:
    """A tree as a folding list in reading order; ``left`` nodes are not in it."""

    nodes: tuple[ListedBranch, ...]
    left: int


def identifier(key: str) -> str:
    """An identifier without anything that HTML or a URL would read differently."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in key)


def short(ref: str) -> str:
    """``kind:`` and twelve digits: enough to find it in a store."""
    kind, colon, digest = ref.partition(":")
    return one_line(f"{kind}:{digest[:12]}" if colon else ref)


def artifact_anchor(ref: str) -> str:
    """The identifier of an artifact's own row."""
    return f"artifact-{identifier(short(ref))}"


def listed(outline: Outline) -> ListedTree:
    """The first ``BRANCHES_SHOWN`` nodes of a tree; its first level and best path stand open.

    A chain stands in one list: the list is as deep as decisions are, not as steps.
    """
    nodes: list[ListedBranch] = []
    levels: list[int] = []
    seen = 0
    pending = [(outline.root, 0, 0)]
    while pending:
        branch, level, depth = pending.pop()
        seen += 1
        parts = len(branch.children) > 1
        below = level + parts
        pending += [(child, below, depth + 1) for child in reversed(branch.children)]
        if seen <= BRANCHES_SHOWN:
            # Where the list is cut inside it, a node has no children here.
            parts = parts and seen < BRANCHES_SHOWN
            nodes.append(ListedBranch(branch, branch.best or depth < 1, parts))
            levels.append(level)
    following = [*levels[1:], 0]
    closed = [
        replace(node, closes=level + node.parts - after)
        for node, level, after in zip(nodes, levels, following, strict=True)
    ]
    return ListedTree(tuple(closed), max(0, seen - BRANCHES_SHOWN))


def numbered(lane: Lane) -> list[tuple[int, Turn]]:
    """The turns with the number of the step that each begins at."""
    steps = accumulate((turn.times for turn in lane.turns), initial=1)
    return list(zip(steps, lane.turns, strict=False))


def data_table(figure: Figure) -> Table:
    """The figures behind a drawing."""
    rows = tuple(
        Row((Cell(series.name), Cell(_x(point.x)), Cell(point.y, point.low, point.high)))
        for series in figure.series
        for point in series.points
    )
    columns = (Column("Series", TEXT), Column(figure.x_label, TEXT), Column(figure.y_label))
    return Table(f"{figure.key}-data", figure.title, columns, rows)


def _x(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _chart(figure: Figure, narrow: bool = False) -> Markup:
    return Markup(figure_svg.draw(figure, figure_svg.NARROW if narrow else figure_svg.WIDE))


def _tree(outline: Outline, narrow: bool = False) -> Markup:
    return Markup(tree_svg.drawing(outline, figure_svg.NARROW if narrow else figure_svg.WIDE))


def _words(column: Column) -> Markup:
    return Markup(' class="words"') if column.kind == TEXT else Markup("")


def _kind(block: Block) -> str:
    return type(block).__name__.lower()


def _cut(text: str, length: int) -> str:
    flat = inert(text)
    return flat if len(flat) <= length else f"{flat[:length]}…"


FILTERS: dict[str, Callable[..., Any]] = {
    "anchor": identifier,
    "artifact": artifact_anchor,
    "chart": _chart,
    "counted": counted,
    "cut": _cut,
    "data_table": data_table,
    "figure": formatting.figure,
    "inert": inert,
    "interval": formatting.interval,
    "kind": _kind,
    "line": one_line,
    "listed": listed,
    "numbered": numbered,
    "short": short,
    "spread": formatting.spread,
    "tree": _tree,
    "words": _words,
}
