"""How the figures of a table's cell are written, whatever the medium."""

from __future__ import annotations

import math

from tratree_cli.display.blocks import COUNT, P_VALUE, PERCENT, RATIO, SECONDS, Cell, Column
from tratree_cli.display.text import one_line

DASH = "–"
MINUS = "−"


def number(value: float, kind: str) -> str:
    """A figure as its column writes it; not a number prints as a dash."""
    return _number(value, kind).replace("-", MINUS) if math.isfinite(value) else DASH


def _number(value: float, kind: str) -> str:
    if kind == COUNT:
        return f"{round(value):,}"
    if kind == SECONDS:
        return f"{value:.1f}" if value < 10 else f"{value:,.0f}"
    if kind == P_VALUE:
        return "<0.0001" if value < 0.0001 else f"{value:.4f}"
    if kind == RATIO:
        return f"{value:.2f}"
    if kind == PERCENT:
        return f"{value:.1f}"
    return f"{value:.0f}" if isinstance(value, int) else f"{value:.1f}"


def figure(cell: Cell, column: Column) -> str:
    """The cell's own figure or words, without spread and interval."""
    if cell.value is None:
        return DASH
    if isinstance(cell.value, str):
        return one_line(cell.value)
    return number(cell.value, column.kind)


def spread(cell: Cell, column: Column) -> str:
    """``± sd`` over seeds, or nothing."""
    return "" if cell.sd is None else f"± {number(cell.sd, column.kind)}"


def interval(cell: Cell, column: Column) -> str:
    """``[low, high]``, or nothing."""
    if cell.low is None or cell.high is None:
        return ""
    return f"[{number(cell.low, column.kind)}, {number(cell.high, column.kind)}]"


def whole(cell: Cell, column: Column) -> str:
    """Figure, spread and interval on one line."""
    return " ".join(
        part
        for part in (figure(cell, column), spread(cell, column), interval(cell, column))
        if part
    )
