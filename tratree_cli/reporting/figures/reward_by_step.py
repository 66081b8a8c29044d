"""Fig. 3: the average score after each step; an ended episode keeps its final score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tratree_cli.display.blocks import Figure, Point, Series
from tratree_cli.methods.registry import is_method, method
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import EvalSet, eval_sets, main_cohorts


def figures(data: ReportData) -> Iterator[Figure]:
    """A figure for every environment and split."""
    main = main_cohorts(data.cohorts)
    for eval_set in eval_sets(data.cohorts):
        if (figure := _figure(main, eval_set)) is not None:
            yield figure


def _figure(groups: Sequence[Cohort], eval_set: EvalSet) -> Figure | None:
    """Fig. 3: the average score after each step; an ended episode keeps its final score."""
    chosen = [
        group
        for group in groups
        if eval_set.holds(group) and is_method(group.method) and method(group.method).paper.figure_3
    ]
    longest = max((len(group.curve) for group in chosen), default=0)
    series = [Series(group.name, _curve(group, longest)) for group in chosen if group.curve]
    series = [line for line in series if len(line.points) > 1]
    if not series:
        return None
    return Figure(
        key=f"figure-3-{eval_set.environment or 'all'}-{eval_set.split or 'all'}",
        title=f"Reward by step on {eval_set.title} (Fig. 3)",
        kind="lines",
        x_label="Step",
        y_label="Average reward × 100",
        series=tuple(series),
        alt=". ".join(
            f"{line.name} reaches {line.points[-1].y:.1f} after {len(line.points)} steps"
            for line in series
        ),
    )


def _curve(group: Cohort, steps: int) -> tuple[Point, ...]:
    """The curve up to ``steps``: where all its episodes ended earlier, they keep their scores."""
    curve = [*group.curve, *[group.curve[-1]] * (steps - len(group.curve))]
    return tuple(
        Point(step, score.value, score.low, score.high) for step, score in enumerate(curve, start=1)
    )
