"""Policies in groups, so that a chart tells what is in question from what it is measured by."""

from __future__ import annotations

from collections.abc import Sequence

from tratree_cli.display.blocks import Point, Series
from tratree_cli.evaluation.bootstrap import Interval
from tratree_cli.methods.registry import is_method, method
from tratree_cli.reporting.cohorts import Cohort

NAMES = {
    "main": "method",
    "baseline": "baseline",
    "control": "control",
    "scale": "for scale",
    "": "other policy",
}
"""What a reader is told of each ``group`` of the methods."""


def grouped(measured: Sequence[tuple[Cohort, Interval]]) -> tuple[Series, ...]:
    """A series for each group, its points from the highest to the lowest; groups in one order."""
    points: dict[str, list[Point]] = {}
    for cohort, interval in measured:
        group = method(cohort.method).group if is_method(cohort.method) else ""
        point = Point(cohort.name, interval.value, interval.low, interval.high)
        points.setdefault(group, []).append(point)
    return tuple(
        Series(name, tuple(sorted(points[group], key=lambda point: -point.y)), group)
        for group, name in NAMES.items()
        if group in points
    )
