"""A trajectory tree as a drawing: a row a step, indented where ways part, time running down.

The way that the search selects is a thick line, a divergence point is a diamond, the fill of a node
is its mean G (which stands beside it in figures, so that nothing hangs on colour). What an action
showed stands beside it; one that never had an effect carries a cross. Figures stand where a way
begins: along a chain they are the same. A narrow drawing has two lines a row. Colours are classes
of the page, so that one drawing serves light, dark and print.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tratree_cli.display.blocks import Branch, Outline
from tratree_cli.display.text import counted, inert, one_line
from tratree_cli.display.tree_rows import LONGEST_RUN
from tratree_cli.reporting.render.figure_svg import WIDE

ROWS_DRAWN = 40
"""Rows of a drawing; the list below it has the others."""
_INDENT, _LEFT, _HOVER, _SHADES = 24, 16, 500, 5
_ACTION, _SEEN = 6.7, 6.1
"""Pixels of a character of an action and of what it showed."""
_FIGURES = 214
"""Pixels at the right of a wide drawing for the columns of figures."""


@dataclass(frozen=True)
class _Row:
    """A node with its place; ``parent`` is the number of its row, ``begins`` a way with figures."""

    branch: Branch
    level: int
    parent: int
    begins: bool


def drawing(outline: Outline, width: int = WIDE) -> str:
    """The tree as one ``<svg>`` element; a sentence in it tells how many rows were left out."""
    rows = list(_rows(_shortened(outline.root)))
    left_out = max(0, len(rows) - ROWS_DRAWN)
    rows = rows[:ROWS_DRAWN]
    painter = _Painter(rows, width)
    height = painter.top + painter.row * len(rows) + (22 if left_out else 4)
    parts = [
        f'<svg class="branches" role="img" '
        f'viewBox="0 0 {width} {height:g}" width="{width}" height="{height:g}">',
        f"<title>{_text(outline.title)}</title><desc>{_text(_in_words(outline.root))}</desc>",
        *painter.parts(),
    ]
    if left_out:
        words = f"… {counted(left_out, 'more row')} in the list below"
        parts.append(f'<text class="figures" x="{_LEFT}" y="{height - 6:g}">{words}</text>')
    return "".join([*parts, "</svg>"])


def _shortened(branch: Branch) -> Branch:
    """The tree with long runs of steps that offer no choice as one node each.

    A household takes forty steps of which two are decisions. Hovering tells the steps of a run, and
    the list below has them.
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
        words = f"… {len(between)} steps …"
        run = [first, replace(between[0], text=words, detail=steps, seen="", ineffective=False)]
    for branch in reversed(run):
        drawn = replace(branch, children=(drawn,))
    return drawn


def _rows(root: Branch) -> Iterator[_Row]:
    """Parents before children, in the order of insertion; a chain stays in its column."""
    pending = [(root, 0, -1, True)]
    number = 0
    while pending:
        branch, level, parent, begins = pending.pop()
        yield _Row(branch, level, parent, begins)
        several = len(branch.children) > 1
        below = level + several
        pending += [(child, below, number, several) for child in reversed(branch.children)]
        number += 1


class _Painter:
    """The rows of a tree on a drawing of one width."""

    def __init__(self, rows: Sequence[_Row], width: int) -> None:
        self.rows, self.width = rows, width
        self.narrow = width < WIDE
        self.row = 38 if self.narrow else 27
        self.top = 6 if self.narrow else 24
        self.right = width - (52 if self.narrow else _FIGURES)
        # Deep trees are indented less, so that words keep half of the width.
        deepest = max(row.level for row in rows) or 1
        self.indent = min(_INDENT, self.right / 2 / deepest)

    def parts(self) -> Iterator[str]:
        if not self.narrow:
            yield from self._heads()
        # The selected way is drawn last, over the lines that it shares a stretch with.
        ordered = sorted(range(1, len(self.rows)), key=self._selected)
        yield from (self._edge(number) for number in ordered)
        yield from (self._node(number) for number in range(len(self.rows)))

    def _heads(self) -> Iterator[str]:
        for name, x in (("tried", 40), ("G", 86), ("gap", 206)):
            place = f'x="{self.right + x:g}" y="12" text-anchor="end"'
            yield f'<text class="figures" {place}>{name}</text>'

    def _place(self, number: int) -> tuple[float, float]:
        x = _LEFT + self.indent * self.rows[number].level
        return round(x, 1), self.top + self.row * number + 13

    def _selected(self, number: int) -> bool:
        row = self.rows[number]
        return row.branch.best and self.rows[row.parent].branch.best

    def _edge(self, number: int) -> str:
        (x, y), (above, start) = self._place(number), self._place(self.rows[number].parent)
        kind = ' class="best"' if self._selected(number) else ""
        if x == above:
            return f'<path{kind} d="M{above:g} {start:g}V{y:g}"/>'
        turn = f"V{y - 8:g}Q{above:g} {y:g} {above + 8:g} {y:g}"
        return f'<path{kind} d="M{above:g} {start:g}{turn}H{x:g}"/>'

    def _node(self, number: int) -> str:
        row, (x, y) = self.rows[number], self._place(number)
        branch = row.branch
        size = min(4.0 + math.sqrt(branch.visits or 1), 8.0)
        shade = "" if branch.value is None else f" g{_shade(branch.value)}"
        kind = f'class="node{shade}{" best" if branch.best else ""}"'
        if branch.divergence:
            wide = size * 1.2
            shape = f"M{x - wide:g} {y:g}L{x:g} {y - wide:g}L{x + wide:g} {y:g}L{x:g} {y + wide:g}Z"
            drawn = f'<path {kind} d="{shape}"/>'
        else:
            drawn = f'<circle {kind} cx="{x:g}" cy="{y:g}" r="{size:g}"/>'
        hover = inert(branch.text) + (f"\n{inert(branch.detail)}" if branch.detail else "")
        cut = hover if len(hover) <= _HOVER else hover[:_HOVER] + "…"
        words = self._words(row, x + 15, y + 4)
        figures = self._figures(branch, y + 4) if row.begins else ""
        if branch.divergence and not self.narrow:
            figures += _figure(self.right + 206, y + 4, f"{branch.gap:.2f}")
        return f"<g><title>{html.escape(cut)}</title>{drawn}{words}{figures}</g>"

    def _words(self, row: _Row, x: float, y: float) -> str:
        """The action, and what it showed beside it or, in a narrow drawing, below it."""
        branch = row.branch
        # The instruction stands above the drawing.
        action = "start" if row.parent < 0 else one_line(branch.text)
        room = int((self.right - x) / _ACTION)
        action = one_line(f"✗ {action}" if branch.ineffective else action, max(room, 8))
        kind = "act" + (" best" if branch.best else "") + (" none" if branch.ineffective else "")
        drawn = f'<text class="{kind}" x="{x:g}" y="{y:g}">{_text(action)}</text>'
        seen = "" if branch.ineffective or row.parent < 0 else one_line(branch.seen)
        after = x if self.narrow else x + len(action) * _ACTION + 14
        left = int((self.right - after) / _SEEN)
        if seen and left >= 8:
            below = y + 14 if self.narrow else y
            text = _text(one_line(seen, left))
            drawn += f'<text class="seen" x="{after:g}" y="{below:g}">{text}</text>'
        return drawn

    def _figures(self, branch: Branch, y: float) -> str:
        right = self.right
        if branch.value is None:
            return ""
        value = f"{branch.value:.2f}"
        if self.narrow:
            tried = f"n {branch.visits}" if branch.visits is not None else ""
            return _figure(self.width - 4, y, value) + _figure(self.width - 4, y + 14, tried)
        parts = [_figure(right + 86, y, value)]
        parts += [_figure(right + 40, y, str(branch.visits))] if branch.visits is not None else []
        long = 70 * min(max(branch.value, 0.0), 1.0)
        x = right + 96
        parts.append(f'<path class="track" d="M{x:g} {y - 4:g}h70"/>')
        parts += [f'<path class="length" d="M{x:g} {y - 4:g}h{long:.1f}"/>'] if long else []
        return "".join(parts)


def _figure(x: float, y: float, text: str) -> str:
    place = f'x="{x:g}" y="{y:g}" text-anchor="end"'
    return f'<text class="figures" {place}>{text}</text>' if text else ""


def _shade(value: float) -> int:
    return min(max(int(value * _SHADES), 0), _SHADES - 1)


def _in_words(root: Branch) -> str:
    """The drawing for those who do not see it: its size, its divergences and its best path."""
    path, current = [], root
    while (following := next((c for c in current.children if c.best), None)) is not None:
        path.append(following.text)
        current = following
    ends, points, stack = 0, 0, [root]
    while stack:
        branch = stack.pop()
        ends += not branch.children
        points += branch.divergence
        stack += branch.children
    best = f"; best path: {', then '.join(path)}" if path else ""
    return f"{counted(ends, 'way')} to an end, {counted(points, 'divergence point')}{best}."


def _text(text: str) -> str:
    return html.escape(one_line(text))
