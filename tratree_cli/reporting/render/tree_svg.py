"""A trajectory tree as a drawing: left to right in time, one row a way to the end.

The branch that the search selects is a thick line, a divergence point is a diamond, the fill of a
node is its mean G (which also stands below it in figures, so that nothing hangs on colour). A node
tells its observation and thoughts when hovered. Colours are classes of the page, so that one
drawing serves light, dark and print. Texts are escaped where they enter (``_text``).
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tratree_cli.display.blocks import Branch, Outline
from tratree_cli.display.text import counted, inert, one_line
from tratree_cli.display.tree_rows import LONGEST_RUN

WAYS_DRAWN = 24
"""Ways from the root to an end that a drawing holds; the list below it has the others."""
_ROW, _LEFT, _TOP, _BELOW = 44, 14, 30, 26
_LABEL, _HOVER = 30, 500
_CHARACTER, _AROUND = 6.7, 48
"""Pixels: a character of a label, and what a column needs beside its widest label."""
_SHADES = 5


@dataclass(frozen=True)
class _Placed:
    branch: Branch
    depth: int
    y: float
    x: float = 0.0
    parent: _Placed | None = None


def drawing(outline: Outline) -> str:
    """The tree as one ``<svg>`` element, and a sentence if ways were left out."""
    root = _shortened(outline.root)
    kept = _kept_ends(root)
    placed: list[_Placed] = []
    _place(root, (), kept, placed, [0])
    nodes = _in_columns(placed)
    width = round(max(node.x for node in nodes)) + _LEFT
    height = _TOP + _ROW * (len(kept) - 1) + _BELOW
    parts = [
        f'<svg class="branches" role="img" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}">',
        f"<title>{_text(outline.title)}</title><desc>{_text(_in_words(outline.root))}</desc>",
        *(_edge(node) for node in sorted(nodes, key=lambda node: node.branch.best)),
        *(_node(node) for node in nodes),
        "</svg>",
    ]
    left = _ends(root) - len(kept)
    ways = "1 more way is" if left == 1 else f"{left} more ways are"
    more = f'<p class="note">{ways} in the list and not drawn.</p>' if left else ""
    region = f'role="region" tabindex="0" aria-label="{_text(outline.title)}"'
    return f'<div class="scroll drawn" {region}>{"".join(parts)}</div>{more}'


def _shortened(branch: Branch) -> Branch:
    """The tree with long runs of steps that offer no choice as one node each.

    A household takes forty steps of which two are decisions: drawn one by one, they would be wider
    than any screen or paper. Hovering tells the steps of a run, and the list below has them.
    """
    return replace(branch, children=tuple(_run(child) for child in branch.children))


def _run(first: Branch) -> Branch:
    run = [first]
    while len(below := run[-1].children) == 1 and below[0].best == first.best:
        run.append(below[0])
    drawn = _shortened(run.pop())
    if len(run) >= LONGEST_RUN:
        between = run[1:]
        steps = "\n".join(branch.text for branch in between)
        run = [first, replace(between[0], text=f"… {len(between)} steps …", detail=steps)]
    for branch in reversed(run):
        drawn = replace(branch, children=(drawn,))
    return drawn


def _kept_ends(root: Branch) -> frozenset[tuple[int, ...]]:
    """The ends that are drawn, by their way from the root: those of the best path, then in order"""
    ends = list(_ways(root, ()))
    best = [way for way, on_path in ends if on_path]
    others = [way for way, on_path in ends if not on_path]
    return frozenset([*best, *others][:WAYS_DRAWN])


def _ways(branch: Branch, way: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], bool]]:
    stack = [(branch, way)]
    while stack:
        current, path = stack.pop()
        if not current.children:
            yield path, current.best
        stack += [(child, (*path, i)) for i, child in enumerate(current.children)][::-1]


def _ends(branch: Branch) -> int:
    return sum(1 for _ in _ways(branch, ()))


def _place(
    branch: Branch,
    way: tuple[int, ...],
    kept: frozenset[tuple[int, ...]],
    placed: list[_Placed],
    row: list[int],
) -> _Placed | None:
    """Ends get a row each; a node that branches stands in the middle of its first and last way."""
    place = len(placed)
    placed.append(_Placed(branch, len(way), 0.0))
    below = [
        child_place
        for index, child in enumerate(branch.children)
        if any(end[: len(way) + 1] == (*way, index) for end in kept)
        and (child_place := _place(child, (*way, index), kept, placed, row)) is not None
    ]
    if below:
        y = (below[0].y + below[-1].y) / 2
    else:
        y = _TOP + _ROW * row[0]
        row[0] += 1
    placed[place] = _Placed(branch, len(way), y)
    return placed[place]


def _in_columns(placed: list[_Placed]) -> list[_Placed]:
    """The same nodes with their columns, as wide as their labels, and the node before each."""
    widths: dict[int, float] = {}
    for node in placed:
        label = len(one_line(node.branch.text, _LABEL))
        widths[node.depth] = max(widths.get(node.depth, 0.0), label * _CHARACTER + _AROUND)
    widths[0] = 0.0
    in_columns: list[_Placed] = []
    stack: list[_Placed] = []
    for node in placed:
        while stack and stack[-1].depth >= node.depth:
            stack.pop()
        x = _LEFT + sum(widths[depth] for depth in range(node.depth + 1))
        column = replace(node, x=x, parent=stack[-1] if stack else None)
        in_columns.append(column)
        stack.append(column)
    return in_columns


def _edge(node: _Placed) -> str:
    if node.parent is None:
        return ""
    x, y = node.parent.x, node.parent.y
    kind = ' class="best"' if node.branch.best and node.parent.branch.best else ""
    if y == node.y:
        return f'<path{kind} d="M{x:g} {y:g}H{node.x:g}"/>'
    # The bend is close to the parent, so that the label above the edge stands on a straight line.
    bend = x + 26
    curve = f"C{bend - 8:g} {y:g} {bend - 12:g} {node.y:g} {bend + 8:g} {node.y:g}"
    return f'<path{kind} d="M{x:g} {y:g}{curve}H{node.x:g}"/>'


def _node(node: _Placed) -> str:
    branch = node.branch
    size = min(4.0 + 1.4 * math.sqrt(branch.visits or 1), 10.0)
    shade = "" if branch.value is None else f" g{_shade(branch.value)}"
    kind = f'class="node{shade}{" best" if branch.best else ""}"'
    if branch.divergence:
        wide = size * 1.25
        shape = (
            f'<path {kind} d="M{node.x - wide:g} {node.y:g}L{node.x:g} {node.y - wide:g}'
            f'L{node.x + wide:g} {node.y:g}L{node.x:g} {node.y + wide:g}Z"/>'
        )
    else:
        shape = f'<circle {kind} cx="{node.x:g}" cy="{node.y:g}" r="{size:g}"/>'
    # A root's label (the instruction) stands above the drawing: here it would run over the edges.
    label = "" if node.parent is None else _label(node, node.x - size - 5)
    hover = inert(branch.text)
    if branch.detail:
        hover += "\n" + inert(branch.detail)
    cut = hover if len(hover) <= _HOVER else hover[:_HOVER] + "…"
    return f"<g><title>{html.escape(cut)}</title>{shape}{label}</g>"


def _label(node: _Placed, right: float) -> str:
    """The action on the edge that leads to its node, its figures below that edge."""
    action = _text(one_line(node.branch.text, _LABEL))
    where = f'x="{right:g}" text-anchor="end"'
    label = f'<text class="act" y="{node.y - 6:g}" {where}>{action}</text>'
    if figures := _text(_figures(node.branch)):
        label += f'<text class="figures" y="{node.y + 14:g}" {where}>{figures}</text>'
    return label


def _figures(branch: Branch) -> str:
    parts = [] if branch.value is None else [f"G {branch.value:.2f}"]
    parts += [] if branch.visits is None else [f"n {branch.visits}"]
    return " · ".join(parts)


def _shade(value: float) -> int:
    return min(max(int(value * _SHADES), 0), _SHADES - 1)


def _in_words(root: Branch) -> str:
    """The drawing for those who do not see it: its size, its divergences and its best path."""
    path, current = [], root
    while (following := next((c for c in current.children if c.best), None)) is not None:
        path.append(following.text)
        current = following
    count = _divergences(root)
    points, ends = (
        counted(count, "divergence point"),
        counted(_ends(root), "way"),
    )
    best = f"; best path: {', then '.join(path)}" if path else ""
    return f"{ends} to an end, {points}{best}."


def _divergences(root: Branch) -> int:
    stack, count = [root], 0
    while stack:
        branch = stack.pop()
        count += branch.divergence
        stack += branch.children
    return count


def _text(text: str) -> str:
    return html.escape(one_line(text))
