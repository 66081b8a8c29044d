"""Figures, trees and comparisons of a report as terminal text.

A terminal draws no axes, so a chart becomes what it has to say: a bar or a sparkline with its
numbers. Everything is ``Text``: a model that writes ``[red]`` or an escape sequence changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.panel import Panel
from rich.text import Text
from rich.tree import Tree

from tratree_cli.display.blocks import Branch, Comparison, Figure, Lane, Outline
from tratree_cli.display.sparkline import sparkline
from tratree_cli.display.text import inert, one_line

_BRANCHES_SHOWN = 200
_LANE_WIDTH = 36


class FigureText:
    """A chart as bars or sparklines with numbers."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        figure = self.figure
        ascii_only = options.ascii_only
        yield Text(one_line(figure.title), style="bold")
        lines = _intervals if figure.kind == "intervals" else _curves
        for line in lines(figure, options.max_width, ascii_only):
            yield Text(line, overflow="fold")
        for note in figure.notes:
            yield Text(one_line(note), style="dim")


def _intervals(figure: Figure, width: int, ascii_only: bool) -> Iterator[str]:
    """One line a point: the figure, then its interval on an axis that the marked value crosses."""
    points = [point for series in figure.series for point in series.points]
    points.sort(key=lambda point: -point.y)
    if not points:
        return
    names = max(cell_len(one_line(str(point.x), 28)) for point in points)
    ends = [value for p in points for value in (p.y, p.low, p.high) if value is not None]
    ends += [figure.mark] if figure.mark is not None else []
    low, high = min(ends), max(ends)
    room = max(0, width - names - 12)
    sign = "+" if figure.mark == 0 else ""
    dot, line, mark = "o-|" if ascii_only else "●─│"

    def at(value: float) -> int:
        return round((value - low) / (high - low or 1.0) * (room - 1))

    for point in points:
        name = one_line(str(point.x), 28)
        text = f"{name}{' ' * (names - cell_len(name))}  {point.y:{sign}6.1f}".replace("-", "−")
        if room >= 10:
            drawn = [" "] * room
            if figure.mark is not None:
                drawn[at(figure.mark)] = mark
            if point.low is not None and point.high is not None:
                span = range(at(point.low), at(point.high) + 1)
                drawn[span.start : span.stop] = [line] * len(span)
            drawn[at(point.y)] = dot
            text += f"  {''.join(drawn).rstrip()}"
        yield text
    if figure.mark is not None and room >= 10:
        bar = one_line(figure.mark_label, 28)
        yield f"{' ' * (names + 10)}{mark} {bar}; from {low:.1f} to {high:.1f}".replace("-", "−")


def _curves(figure: Figure, width: int, ascii_only: bool) -> Iterator[str]:
    values = [point.y for series in figure.series for point in series.points]
    if not values:
        return
    low, high = min(values), max(values)
    names = max(cell_len(one_line(series.name, 28)) for series in figure.series)
    room = max(1, width - names - 16)
    for series in figure.series:
        name = one_line(series.name, 28)
        ys = [point.y for point in series.points]
        drawn = sparkline(ys, room, low=low, high=high, ascii_only=ascii_only)
        yield f"{name}{' ' * (names - cell_len(name))}  {ys[0]:5.1f} {drawn} {ys[-1]:5.1f}"
    first, last = figure.series[0].points[0].x, figure.series[0].points[-1].x
    yield f"{one_line(figure.x_label)}: {first} to {last}; range {low:.1f} to {high:.1f}"


def outline_tree(outline: Outline) -> RenderableType:
    """A trajectory tree, best path and divergence points marked in words as well as in style."""
    drawn = Tree(_branch_text(outline.root), guide_style="dim", highlight=False)
    left = [_BRANCHES_SHOWN]
    _grow(drawn, outline.root, left)
    if left[0] < 0:
        drawn.add(Text(f"… {-left[0]} more branches", style="dim"))
    return drawn


def _grow(drawn: Tree, branch: Branch, left: list[int]) -> None:
    for child in branch.children:
        left[0] -= 1
        target = drawn.add(_branch_text(child)) if left[0] >= 0 else drawn
        _grow(target, child, left)


def _branch_text(branch: Branch) -> Text:
    text = Text(one_line(branch.text, 120), style="bold" if branch.best else "")
    figures = []
    if branch.value is not None:
        figures.append(f"G {branch.value:.2f}")
    if branch.visits is not None:
        figures.append(f"n {branch.visits}")
    if figures:
        text.append("  " + ", ".join(figures), style="dim")
    if branch.seen and not branch.ineffective:
        text.append(f"  {one_line(branch.seen, 48)}", style="dim italic")
    if branch.ineffective:
        text.append("  ✗ no effect", style="dim")
    if branch.best:
        text.append("  * best path", style="bold")
    if branch.divergence:
        text.append("  < diverges", style="italic")
    return text


class ComparisonText:
    """Trajectories on one task side by side where they fit, one below the other where not."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        comparison = self.comparison
        yield Text(one_line(comparison.title), style="bold")
        yield Text(inert(comparison.instruction), style="italic")
        lanes = comparison.lanes
        beside = max(1, min(len(lanes), options.max_width // _LANE_WIDTH))
        width = options.max_width // beside - (1 if beside > 1 else 0)
        for start in range(0, len(lanes), beside):
            yield Columns(_panels(lanes[start : start + beside], width), padding=(0, 1, 0, 0))
        for note in comparison.notes:
            yield Text(one_line(note), style="dim")


def _panels(lanes: Sequence[Lane], width: int) -> list[Panel]:
    return [
        Panel(_lane_text(lane), title=Text(one_line(lane.label)), width=width) for lane in lanes
    ]


def _lane_text(lane: Lane) -> Text:
    text = Text()
    marked = False
    for number, turn in enumerate(lane.turns, start=1):
        if turn.differs and not marked:
            text.append("--- differs from here ---\n", style="bold")
            marked = True
        if turn.thought:
            text.append(f"   {one_line(turn.thought, 160)}\n", style="dim italic")
        text.append(f"{number}. {one_line(turn.action)}", style="bold" if marked else "")
        again = f" ×{turn.times}" if turn.times > 1 else ""
        again += ", no effect" if turn.ineffective else ""
        text.append(again, style="dim")
        text.append("" if turn.score is None else f"  ({turn.score:.2f})", style="dim")
        text.append("\n")
    text.append(one_line(lane.outcome), style="bold")
    return text
