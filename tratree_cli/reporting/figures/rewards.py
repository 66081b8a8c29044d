"""Average reward of every policy with its interval over tasks, as bars."""

from __future__ import annotations

from tratree_cli.display.blocks import Figure, Point, Series
from tratree_cli.methods.registry import BASELINE
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import eval_sets, main_cohorts


def figure(data: ReportData) -> Figure | None:
    """Average reward of every method with its interval over tasks, grouped by environment."""
    chosen = [group for group in main_cohorts(data.cohorts) if group.reward is not None]
    if len(chosen) < 2:
        return None
    series = []
    for eval_set in eval_sets(chosen):
        points = [
            Point(group.name, reward.value, reward.low, reward.high)
            for group in chosen
            if eval_set.holds(group) and (reward := group.reward) is not None
        ]
        series.append(Series(eval_set.title, tuple(points)))
    baseline = next((group for group in chosen if group.method == BASELINE), None)
    marked = baseline if len(series) == 1 else None
    return Figure(
        key="rewards",
        title="Average reward by policy",
        kind="bars",
        x_label="Policy",
        y_label="Average reward × 100",
        series=tuple(series),
        alt=". ".join(_ranking(bars) for bars in series),
        notes=(
            "Intervals: 95 % bootstrap over tasks."
            + (f" Dashed: {marked.name}." if marked and marked.reward else ""),
        ),
        mark=marked.reward.value if marked and marked.reward else None,
        mark_label=marked.name if marked and marked.reward else "",
    )


def _ranking(series: Series) -> str:
    ordered = sorted(series.points, key=lambda point: -point.y)
    names = ", ".join(f"{point.x} {point.y:.1f}" for point in ordered)
    return f"{series.name}, from best to worst: {names}"
