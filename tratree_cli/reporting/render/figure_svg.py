"""A chart as an SVG element for an HTML page, drawn by matplotlib when it is installed.

The picture is drawn once, in colours that stand for CSS variables: the page then shows it light or
dark without a second drawing. Series differ by marker and dash as well as by colour. Equal figures
give equal bytes (no date, fixed identifiers). Without matplotlib (the extra ``report``) there is no
picture and the page keeps to its tables.
"""

from __future__ import annotations

import html
import importlib
import importlib.util
import io
import re
from collections.abc import Sequence
from typing import Any

from tratree_cli.display import formatting
from tratree_cli.display.blocks import Figure
from tratree_cli.display.text import inert, one_line

# Fully saturated stand-ins that occur nowhere else; each is replaced by a variable of page.css.
_INK, _SOFT, _LINE = "#010203", "#040506", "#070809"
_SERIES = ("#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05", "#0a0b06", "#0a0b07")
_VARIABLES = {
    _INK: "var(--ink)",
    _SOFT: "var(--soft)",
    _LINE: "var(--line)",
    **{colour: f"var(--c{number})" for number, colour in enumerate(_SERIES, start=1)},
}
# Their numbers have no common divisor, so that series stay apart without colour up to 4 × 9.
_MARKERS = "osD^vPX*h"
_DASHES = ("-", "--", "-.", ":")
_SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _SOFT,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _LINE,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def available() -> bool:
    """Whether charts can be drawn here."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(figure: Figure) -> str:
    """The chart as one ``<svg>`` element with title and description inside."""
    # By name, because the strict types must hold whether or not the extra is installed.
    matplotlib: Any = importlib.import_module("matplotlib")
    canvases: Any = importlib.import_module("matplotlib.figure")
    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": f"tratree-{figure.key}"}):
        canvas = canvases.Figure(figsize=_size(figure), layout="constrained")
        axes = canvas.add_subplot()
        canvas.patch.set_visible(False)
        axes.patch.set_visible(False)
        draw_in = {"bars": _bars, "intervals": _intervals}.get(figure.kind, _lines)
        draw_in(axes, figure)
        drawn = io.StringIO()
        canvas.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return _embedded(drawn.getvalue(), figure)


def _size(figure: Figure) -> tuple[float, float]:
    """Inches: bars grow with their number, lines keep the shape of a text column."""
    if figure.kind not in ("bars", "intervals"):
        return (7.0, 3.6)
    bars = sum(len(series.points) for series in figure.series)
    return (7.0, max(1.6, 0.9 + 0.32 * bars + 0.3 * len(figure.series)))


def _bars(axes: Any, figure: Figure) -> None:
    """Horizontal bars with their interval, one group a series: long names stay readable."""
    place, ticks, names = 0.0, [], []
    for number, series in enumerate(figure.series):
        colour = _SERIES[number % len(_SERIES)]
        for point in series.points:
            low = point.y if point.low is None else point.low
            high = point.y if point.high is None else point.high
            axes.barh(place, point.y, height=0.72, color=colour, alpha=0.55, linewidth=0)
            axes.plot([low, high], [place, place], color=_INK, linewidth=1.4)
            _value(axes, max(high, point.y), place, f"{point.y:.1f}")
            ticks.append(place)
            name = one_line(str(point.x), 28)
            names.append(name if len(figure.series) == 1 else f"{name} · {_name(series.name)}")
            place += 1
        place += 0.8
    axes.set_xlim(left=0)
    _rows(axes, figure, ticks, names)


def _intervals(axes: Any, figure: Figure) -> None:
    """A point with its interval a row: what lies apart from the marked value is seen at once."""
    points = [point for series in figure.series for point in series.points]
    for place, point in enumerate(points):
        colour = _SERIES[0]
        if point.low is not None and point.high is not None:
            axes.plot([point.low, point.high], [place, place], color=colour, linewidth=2.2)
        axes.plot([point.y], [place], marker="o", markersize=6, color=colour)
        right = point.y if point.high is None else point.high
        _value(axes, right, place, f"{point.y:+.1f}".replace("-", formatting.MINUS))
    axes.set_ylim(-0.6, len(points) - 0.4)
    _rows(axes, figure, range(len(points)), [one_line(str(p.x), 28) for p in points])


def _value(axes: Any, right: float, place: float, text: str) -> None:
    """A figure in words behind its drawing."""
    axes.annotate(text, (right, place), (6, 0), textcoords="offset points", va="center", fontsize=9)


def _rows(axes: Any, figure: Figure, ticks: Sequence[float], names: Sequence[str]) -> None:
    """What charts with one named row a figure have in common."""
    if figure.mark is not None:
        axes.axvline(figure.mark, color=_INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0.5)
    axes.set_yticks(ticks, names)
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.01)
    axes.set_xlabel(one_line(figure.y_label))
    axes.grid(axis="x", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _lines(axes: Any, figure: Figure) -> None:
    """One line a series; an interval is a band, every series its own marker and dash."""
    for number, series in enumerate(figure.series):
        colour = _SERIES[number % len(_SERIES)]
        xs = [point.x for point in series.points]
        axes.plot(
            xs,
            [point.y for point in series.points],
            color=colour,
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=4.5,
            markevery=max(1, len(xs) // 12),
            linestyle=_DASHES[number % len(_DASHES)],
            linewidth=1.8,
            label=_name(series.name),
        )
        banded = [point for point in series.points if point.low is not None]
        if len(banded) > 1:
            axes.fill_between(
                [point.x for point in banded],
                [point.low for point in banded],
                [point.high for point in banded],
                color=colour,
                alpha=0.13 if len(figure.series) < 3 else 0.06,
                linewidth=0,
            )
    axes.set_xlabel(one_line(figure.x_label))
    axes.set_ylabel(one_line(figure.y_label))
    axes.grid(linewidth=0.6)
    axes.set_axisbelow(True)
    if len({len(series.points) for series in figure.series}) and _whole(figure):
        axes.xaxis.get_major_locator().set_params(integer=True)
    if figure.series:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _whole(figure: Figure) -> bool:
    return all(
        not isinstance(point.x, str) and float(point.x).is_integer()
        for series in figure.series
        for point in series.points
    )


def _name(text: str) -> str:
    """A legend's label; matplotlib would hide one that begins with an underscore."""
    return one_line(text, 32).lstrip("_") or formatting.DASH


def _embedded(svg: str, figure: Figure) -> str:
    """The bare element: no prolog, no sizes, no repeated identifiers, colours as variables."""
    body = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="[^"]*"', body)
    inside = body[body.index(">") + 1 : body.rindex("</svg>")]
    inside = re.sub(r"<metadata>.*?</metadata>", "", inside, flags=re.DOTALL)
    inside = re.sub(r"<style.*?</style>", "", inside, flags=re.DOTALL)
    inside = re.sub(r'<g id="[^"]*"', "<g", inside)
    inside = re.sub(r"<!--.*?-->", "", inside, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        inside = inside.replace(colour, variable)
    title, description = (
        html.escape(one_line(figure.title)),
        html.escape(inert(figure.alt)),
    )
    return (
        f'<svg class="chart" role="img" xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" {box.group() if box else ""}>'
        f"<title>{title}</title><desc>{description}</desc>{inside.strip()}</svg>"
    )
