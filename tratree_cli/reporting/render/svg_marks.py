"""Markers and dashes of a chart's series, so that they are told apart without their colours."""

from __future__ import annotations

COLOURS = 7
_DASHES = ("", "8 3", "8 3 2 3", "2 3")
_SHAPES = (
    "M-1 0A1 1 0 1 0 1 0A1 1 0 1 0 -1 0Z",
    "M-.9 -.9H.9V.9H-.9Z",
    "M0 -1.25L1.25 0L0 1.25L-1.25 0Z",
    "M0 -1.2L1.15 .9H-1.15Z",
    "M0 1.2L1.15 -.9H-1.15Z",
    "M-.4 -1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
    "M-1.2 0L.9 -1.15V1.15Z",
    "M1.2 0L-.9 -1.15V1.15Z",
    "M-1.1 -.5H1.1V.5H-1.1Z",
)
"""Outlines around 0 0 at radius 1. Their number and that of the dashes have no common divisor."""


def dash(number: int) -> str:
    """The attribute that draws series ``number`` in its dashes; a solid line has none."""
    pattern = _DASHES[number % len(_DASHES)]
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def marker(number: int, x: float, y: float, radius: float) -> str:
    """The marker of series ``number`` at a place."""
    where = f'transform="translate({x:g} {y:g}) scale({radius:g})"'
    colour = f"s{number % COLOURS + 1}"
    return f'<path class="marker {colour}" d="{_SHAPES[number % len(_SHAPES)]}" {where}/>'
