"""A chart as an SVG element for an HTML page, wide or narrow; no library draws it.

Colours are classes of ``page.css``, so that one drawing serves light, dark and print; series differ
by marker and dash as well as by colour. Equal figures give equal bytes. A narrow drawing sets names
above their rows and the legend below, so that it is read on a telephone without being made smaller.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tratree_cli.display import formatting
from tratree_cli.display.blocks import Figure, Point, Series
from tratree_cli.display.text import inert, one_line
from tratree_cli.reporting.render.svg_marks import COLOURS, dash, marker

WIDE, NARROW = 760, 360
_CHARACTER = 6.9
"""Pixels of a character of a label, at the size that ``page.css`` gives it."""
_NAME, _TICKS = 34, 5
_GROUPS = ("main", "baseline", "control", "scale")
"""Groups of policies have one look in all charts of a page."""


def draw(figure: Figure, width: int = WIDE) -> str:
    """The chart as one ``<svg>`` element, ``width`` pixels wide, with title and description."""
    drawn = _Intervals(figure, width) if figure.kind == "intervals" else _Lines(figure, width)
    body, height = "".join(drawn.parts()), drawn.height
    return (
        f'<svg class="chart" role="img" '
        f'viewBox="0 0 {width} {height:g}" width="{width}" height="{height:g}">'
        f"<title>{_text(figure.title)}</title>"
        f"<desc>{html.escape(inert(figure.alt))}</desc>{body}</svg>"
    )


@dataclass(frozen=True)
class Scale:
    """Values from ``low`` to ``high`` on pixels from ``start`` to ``end``, and round ticks."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, margin: float) -> Scale:
        """The scale of finite ``values`` with a share of their range free at either side."""
        finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
        low, high = min(finite), max(finite)
        room = (high - low) * margin or (abs(high) or 1.0) * 0.1
        return cls(low - room, high + room, start, end)

    def at(self, value: float) -> float:
        """The pixel of a value; what is no number stands at the start."""
        if not math.isfinite(value):
            return self.start
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, whole: bool = False) -> list[float]:
        """About ``_TICKS`` round values inside; whole numbers alone where ``whole``."""
        rough = (self.high - self.low) / _TICKS
        power = 10 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        step = max(1.0, round(step)) if whole else step
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]


class _Intervals:
    """A point with its interval a row, from the highest value to the lowest."""

    def __init__(self, figure: Figure, width: int) -> None:
        self.figure, self.width = figure, width
        self.narrow = width < WIDE
        self.rows = sorted(
            ((p, _look(n, s)) for n, s in enumerate(figure.series) for p in s.points),
            key=lambda row: -row[0].y,
        )
        names = max((len(one_line(str(p.x), _NAME)) for p, _ in self.rows), default=0)
        self.left = 14.0 if self.narrow else names * _CHARACTER + 22
        self.row = 42 if self.narrow else 27
        several = figure.series if len(figure.series) > 1 else ()
        self.legend = list(_legend(several, width, 0, 14, dashed=False))
        above = max((y for _, y in self.legend), default=0)
        self.top = above + (28 if figure.mark is not None else 12)
        self.bottom = self.top + self.row * len(self.rows)
        self.height = self.bottom + 42
        values = [v for p, _ in self.rows for v in (p.y, p.low, p.high) if v is not None]
        values += [figure.mark] if figure.mark is not None else []
        self.scale = Scale.over(values, self.left, width - 58, 0.03)

    def parts(self) -> Iterator[str]:
        yield from (item for item, _ in self.legend)
        for tick in self.scale.ticks():
            x = self.scale.at(tick)
            yield f'<path class="grid" d="M{x:g} {self.top:g}V{self.bottom:g}"/>'
            yield _label(x, self.bottom + 16, _tick(tick), "middle", "tick")
        middle = (self.left + self.width - 58) / 2
        name = one_line(self.figure.y_label)
        yield _label(middle, self.bottom + 34, name, "middle", "axis")
        yield from self._mark()
        for number, (point, series) in enumerate(self.rows):
            yield from self._row(point, series, self.top + self.row * (number + 0.5))

    def _mark(self) -> Iterator[str]:
        if self.figure.mark is None:
            return
        x = self.scale.at(self.figure.mark)
        yield f'<path class="mark" d="M{x:g} {self.top - 2:g}V{self.bottom:g}"/>'
        if self.figure.mark_label:
            name = one_line(self.figure.mark_label, _NAME)
            half = len(name) * _CHARACTER / 2
            place = min(max(x, half + 4), self.width - half - 4)
            yield _label(place, self.top - 7, name, "middle", "tick")

    def _row(self, point: Point, series: int, y: float) -> Iterator[str]:
        name = one_line(str(point.x), _NAME)
        if self.narrow:
            yield _label(self.left, y - 5, name, "start", "name")
            y += 9
        else:
            yield _label(self.left - 14, y + 4, name, "end", "name")
        colour = f"s{series % COLOURS + 1}"
        right = point.y if point.high is None else point.high
        if point.low is not None and point.high is not None:
            low, high = self.scale.at(point.low), self.scale.at(point.high)
            yield f'<path class="bar {colour}" d="M{low:g} {y:g}H{high:g}"/>'
        yield marker(series, self.scale.at(point.y), y, 5.5)
        value = f"{point.y:{'+' if self.figure.mark == 0 else ''}.1f}"
        value = value.replace("-", formatting.MINUS)
        yield _label(self.scale.at(right) + 9, y + 4, value, "start", "value")


class _Lines:
    """One line a series; an interval is a band."""

    def __init__(self, figure: Figure, width: int) -> None:
        self.figure, self.width = figure, width
        points = [p for series in figure.series for p in series.points]
        xs = [_number(p.x) for p in points]
        self.top, self.bottom = 30.0, 250.0 if width < WIDE else 290.0
        self.whole = bool(xs) and all(x.is_integer() for x in xs if math.isfinite(x))
        ys = [v for p in points for v in (p.y, p.low, p.high) if v is not None]
        self.y = Scale.over(ys, self.bottom, self.top, 0.06)
        self.labels = [(tick, _tick(tick)) for tick in self.y.ticks()]
        left = 14 + _CHARACTER * max((len(text) for _, text in self.labels), default=1)
        self.x = Scale.over(xs, left, width - 12, 0.02)
        self.legend = list(_legend(figure.series, width, left, self.bottom + 60))
        self.height = max((y for _, y in self.legend), default=self.bottom + 40) + 10

    def parts(self) -> Iterator[str]:
        left, right = self.x.start, self.x.end
        yield _label(4, 14, one_line(self.figure.y_label), "start", "axis")
        for tick, text in self.labels:
            y = self.y.at(tick)
            yield f'<path class="grid" d="M{left:g} {y:g}H{right:g}"/>'
            yield _label(left - 6, y + 4, text, "end", "tick")
        for tick in self.x.ticks(self.whole):
            yield _label(self.x.at(tick), self.bottom + 17, _tick(tick), "middle", "tick")
        middle = (left + right) / 2
        name = one_line(self.figure.x_label)
        yield _label(middle, self.bottom + 35, name, "middle", "axis")
        for number, series in enumerate(self.figure.series):
            yield self._band(series, number)
        for number, series in enumerate(self.figure.series):
            yield from self._line(series, number)
        yield from (item for item, _ in self.legend)

    def _band(self, series: Series, number: int) -> str:
        x, y = self.x.at, self.y.at
        known = [p for p in series.points if p.low is not None and p.high is not None]
        if len(known) < 2:
            return ""
        above = [f"{x(_number(p.x)):g} {y(p.high or 0.0):g}" for p in known]
        below = [f"{x(_number(p.x)):g} {y(p.low or 0.0):g}" for p in reversed(known)]
        kind = "band" if len(self.figure.series) < 3 else "band faint"
        return f'<path class="{kind} s{number % COLOURS + 1}" d="M{"L".join(above + below)}Z"/>'

    def _line(self, series: Series, number: int) -> Iterator[str]:
        places = [(self.x.at(_number(p.x)), self.y.at(p.y)) for p in series.points]
        if not places:
            return
        way = "L".join(f"{x:g} {y:g}" for x, y in places)
        colour = f"s{number % COLOURS + 1}"
        yield f'<path class="line {colour}"{dash(number)} d="M{way}"/>'
        every = max(1, len(places) // 10)
        yield from (marker(number, x, y, 4) for x, y in places[::every])


def _legend(
    series: Sequence[Series], width: int, left: float, top: float, dashed: bool = True
) -> Iterator[tuple[str, float]]:
    """Each series' marker, dash and name with the height it stands at, as many a line as fit."""
    x, y = left, top
    for place, one in enumerate(series):
        number = _look(place, one)
        name = one_line(one.name, _NAME) or formatting.DASH
        needed = 40 + len(name) * _CHARACTER
        if x > left and x + needed > width:
            x, y = left, y + 18
        style = dash(number) if dashed else ""
        line = f'<path class="line s{number % COLOURS + 1}"{style} d="M{x:g} {y - 4:g}h26"/>'
        text = _label(x + 32, y, name, "start", "name")
        yield f"{line}{marker(number, x + 13, y - 4, 4.5)}{text}", y
        x += needed + 14


def _look(number: int, series: Series) -> int:
    """Which colour and marker a series has: its group's, else its place among the series."""
    return _GROUPS.index(series.group) if series.group in _GROUPS else number


def _number(value: float | str) -> float:
    return math.nan if isinstance(value, str) else float(value)


def _tick(value: float) -> str:
    return f"{round(value, 10):g}".replace("-", formatting.MINUS)


def _label(x: float, y: float, text: str, anchor: str, kind: str) -> str:
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{html.escape(text)}</text>'


def _text(text: str) -> str:
    return html.escape(one_line(text))
