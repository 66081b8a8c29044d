"""How figures and foreign texts are written, whatever the medium.

Texts come from models and environments. Before any renderer sees them, characters that could drive
a terminal or reorder a line are replaced by a visible stand-in; escaping for a medium (HTML, TeX)
is the renderer's own work on top.
"""

from __future__ import annotations

import math
import unicodedata

from tratree_cli.display.blocks import COUNT, P_VALUE, PERCENT, RATIO, SECONDS, Cell, Column

DASH = "–"
MINUS = "−"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_KEPT = frozenset("\n\t")


def counted(number: int, noun: str) -> str:
    """``1 success``, ``2 successes``, ``3,000 trajectories``, ``2 ways``."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        noun = noun[:-1] + "ie"
    return f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"


def inert(text: str) -> str:
    """``text`` without control, format (bidirectional marks, joiners) and surrogate characters."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        else _REPLACEMENT
        for character in text
    )


def one_line(text: str, width: int = 0) -> str:
    """``text`` inert and on one line, cut with an ellipsis at ``width`` characters (0: never)."""
    flat = " ".join(inert(text).split())
    return flat if not width or len(flat) <= width else flat[: width - 1] + "…"


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
