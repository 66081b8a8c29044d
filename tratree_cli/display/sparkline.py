"""Curves and bars in one line of text, for terminals and summaries.

A sparkline shows shape, not size: the range is written beside it. Without a Unicode-capable
terminal the same levels are drawn with ASCII.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-=+*#@"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def sparkline(
    values: Sequence[float | None],
    width: int = 40,
    *,
    low: float | None = None,
    high: float | None = None,
    ascii_only: bool = False,
) -> str:
    """At most ``width`` characters; more values than that are averaged in equal stretches.

    ``low`` and ``high`` fix the range (default: the values' own). A value that is None or no
    number leaves a gap; equal values give a middle line.
    """
    levels = ASCII if ascii_only else BLOCKS
    points = _stretched(values, width)
    known = [point for point in points if point is not None]
    if not known:
        return ""
    floor = min(known) if low is None else low
    # Halves, because the difference of two large numbers may be none.
    span = (max(known) if high is None else high) / 2 - floor / 2
    drawn = []
    for point in points:
        if point is None:
            drawn.append(" ")
            continue
        share = (point / 2 - floor / 2) / span if span > 0 else 0.5
        drawn.append(levels[min(len(levels) - 1, max(0, int(share * len(levels))))])
    return "".join(drawn)


def bar(value: float, largest: float, width: int = 30, *, ascii_only: bool = False) -> str:
    """A horizontal bar of ``value`` out of ``largest``, ``width`` characters at most."""
    if not (math.isfinite(value) and largest > 0):
        return ""
    share = min(1.0, max(0.0, value / largest))
    if ascii_only:
        return "#" * round(share * width)
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _stretched(values: Sequence[float | None], width: int) -> list[float | None]:
    """``values`` brought to at most ``width`` points; what is no number becomes None."""
    clean = [value if value is not None and math.isfinite(value) else None for value in values]
    if len(clean) <= width:
        return clean
    points: list[float | None] = []
    for index in range(width):
        stretch = clean[index * len(clean) // width : (index + 1) * len(clean) // width]
        known = [value for value in stretch if value is not None]
        points.append(sum(known) / len(known) if known else None)
    return points
