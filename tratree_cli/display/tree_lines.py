"""The rows of one tree or state graph as lines of a terminal.

Figures stand in columns at the right, the words at the left take what room is left and are cut, so
a tree reads the same at 80 columns as at 160. Chains without a choice are not indented: depth on
the page is the number of decisions. Colour repeats what the figures say and never says it alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from tratree_cli.display.colours import AMBER, GREEN, RED
from tratree_cli.display.sparkline import bar
from tratree_cli.display.text import one_line
from tratree_cli.display.tree_rows import TreeRow

_BAR = 8
_LEAST_ROOM = 52


class TreeLines:
    """The rows of a tree, words at the left and figures in columns at the right."""

    def __init__(
        self, rows: Sequence[TreeRow], root_gap: float, root_hidden: int, legend: str
    ) -> None:
        self.rows = rows
        self.root_gap = root_gap
        self.root_hidden = root_hidden
        self.legend = legend

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ascii_only = options.ascii_only
        wide = options.max_width >= 100
        # "3/5" of a tree that was tried twenty thousand times needs more room.
        won = max([5, *(len(_won(row)) for row in self.rows)])
        figures = 23 + won + (_BAR + 2 if wide else 0)
        # On a wide terminal the figures stay near the words they belong to.
        needed = max((_needed(row, ascii_only) for row in self.rows), default=0)
        room = max(12, min(options.max_width - figures, max(needed, _LEAST_ROOM)))
        star, mark = ("*", "<") if ascii_only else ("★", "◆")
        titles = f"{'tried':>6}  {'G':>5}{'':{_BAR + 2 if wide else 0}}  {'won':>{won}}  {'gap':>4}"
        yield Text(" " * room + titles, style="dim", no_wrap=True, overflow="crop")
        if self.root_gap > 0 or self.root_hidden:
            start = "start" + _not_shown(self.root_hidden)
            gap = f"{mark}{self.root_gap:.2f}" if self.root_gap > 0 else ""
            yield Text(_fill(start, room) + f"{gap:>{figures - 2}}", style="dim", no_wrap=True)
        for row in self.rows:
            yield _line(row, room, won, wide, ascii_only)
        legend = (
            f"{star} {self.legend}   {mark} one state, different actions: how far G parts below"
        )
        yield Text(legend, style="dim", no_wrap=True, overflow="ellipsis")
        if any(row.ineffective for row in self.rows):
            words = f"{'x' if ascii_only else '✗'} had no effect"
            yield Text(words, style="dim", no_wrap=True, overflow="ellipsis")


def _guides(row: TreeRow, ascii_only: bool) -> str:
    bend, tee, pipe = ("`- ", "|- ", "|  ") if ascii_only else ("╰─ ", "├─ ", "│  ")
    guides = "".join(pipe if goes_on else "   " for goes_on in row.lines)
    return guides + ("" if row.only else bend if row.last else tee)


def _words(row: TreeRow, ascii_only: bool) -> str:
    words = one_line(row.text)
    if row.best:
        words = f"{'*' if ascii_only else '★'} {words}"
    if row.ineffective:
        words = f"{'x' if ascii_only else '✗'} {words}"
    return words + _not_shown(row.hidden)


def _beside(row: TreeRow) -> str:
    """What the action showed, where it had an effect."""
    return f"  {one_line(row.seen, 48)}" if row.seen and not row.ineffective else ""


def _not_shown(nodes: int) -> str:
    return f"  (+{nodes} not shown)" if nodes else ""


def _won(row: TreeRow) -> str:
    return f"{row.successes}/{row.visits}"


def _needed(row: TreeRow, ascii_only: bool) -> int:
    words = _words(row, ascii_only) + _beside(row)
    return cell_len(_guides(row, ascii_only)) + cell_len(words) + 2


def _line(row: TreeRow, room: int, won: int, wide: bool, ascii_only: bool) -> Text:
    mark = "<" if ascii_only else "◆"
    guides = _guides(row, ascii_only)
    # Deep branchings keep half of the room for words.
    if cell_len(guides) > room // 2:
        guides = ("<" if ascii_only else "‹") + guides[-(room // 2 - 1) :]
    colour = score_style(row.value)
    style = f"bold {colour}" if row.best else "dim italic" if row.stop else colour
    text = Text(no_wrap=True, overflow="crop", end="\n")
    text.append(guides, style="dim")
    words = _words(row, ascii_only)
    filled = _fill(words + _beside(row), room - cell_len(guides))
    text.append(filled[: len(words)], style=style)
    text.append(filled[len(words) :], style="dim")
    # Along a chain the figures would only repeat those of its first step.
    if row.only and row.depth > 1:
        text.append(" " * (15 + won + (_BAR + 2 if wide else 0)))
    else:
        text.append(f"{row.visits:>6}  ")
        text.append(f"{row.value:>5.2f}", style=colour)
        if wide:
            drawn = bar(row.value, 1.0, _BAR, ascii_only=ascii_only)
            text.append("  " + set_cell_size(drawn, _BAR), style=colour)
        text.append(f"  {_won(row):>{won}}", style="" if row.successes else "dim")
    if row.gap > 0:
        text.append(f"  {mark}{row.gap:.2f}", style="bold")
    text.rstrip()
    return text


def score_style(score: float) -> str:
    """The colour of a score in [0, 1]: red, amber, green."""
    return RED if score < 1 / 3 else AMBER if score < 2 / 3 else GREEN


def _fill(words: str, width: int) -> str:
    """``words`` cut or padded to exactly ``width`` cells, one of them free at the end."""
    if cell_len(words) >= width:
        return set_cell_size(words, max(1, width - 2)).rstrip() + "… "
    return set_cell_size(words, width)
