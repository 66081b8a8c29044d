"""Every method minus the SFT strong baseline, with the paired interval over tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tratree_cli.display.blocks import Figure
from tratree_cli.reporting.baseline_comparison import against_baseline
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.policy_groups import grouped
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import EvalSet, eval_sets, main_cohorts


def figures(data: ReportData) -> Iterator[Figure]:
    """A figure for every environment and split where several methods are compared."""
    main = main_cohorts(data.cohorts)
    for eval_set in eval_sets(data.cohorts):
        if (figure := _figure(main, eval_set)) is not None:
            yield figure


def _figure(groups: Sequence[Cohort], eval_set: EvalSet) -> Figure | None:
    """Every method minus the SFT strong baseline, with the paired interval over tasks."""
    comparison = against_baseline([group for group in groups if eval_set.holds(group)])
    if comparison is None:
        return None
    measured = [
        (rival.cohort, interval)
        for rival in comparison.rivals
        if (interval := rival.difference.difference) is not None
    ]
    if len(measured) < 2:
        return None
    series = grouped(measured)
    points = [point for group in series for point in group.points]
    name = comparison.baseline.name
    above = [str(p.x) for p in points if p.low is not None and p.low > 0]
    below = [str(p.x) for p in points if p.high is not None and p.high < 0]
    sentences = [
        f"{side} {name} with the whole interval: {', '.join(names)}"
        for side, names in (("Above", above), ("Below", below))
        if names
    ]
    return Figure(
        key=f"differences-{eval_set.environment or 'all'}-{eval_set.split or 'all'}",
        title=f"Difference from {name} on {eval_set.title}",
        kind="intervals",
        x_label="Policy",
        y_label=f"Average reward × 100, minus {name}",
        series=series,
        alt=". ".join(sentences) or f"Every interval holds 0, so none is apart from {name}",
        notes=("Intervals: 95 % paired bootstrap over the same tasks.",),
        mark=0.0,
        mark_label=name,
    )
