"""Average reward of every policy with its interval over tasks, the best at the top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tratree_cli.display.blocks import Figure
from tratree_cli.methods.registry import BASELINE
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.policy_groups import grouped
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import EvalSet, eval_sets, main_cohorts


def figures(data: ReportData) -> Iterator[Figure]:
    """A figure for every environment and split on which several policies were evaluated."""
    main = main_cohorts(data.cohorts)
    sets = eval_sets(main)
    for eval_set in sets:
        groups = [group for group in main if eval_set.holds(group)]
        if (figure := _figure(groups, eval_set, len(sets) > 1)) is not None:
            yield figure


def _figure(groups: Sequence[Cohort], eval_set: EvalSet, several: bool) -> Figure | None:
    measured = [(group, group.reward) for group in groups if group.reward is not None]
    if len(measured) < 2:
        return None
    baseline = next((group for group, _ in measured if group.method == BASELINE), None)
    ranked = sorted(measured, key=lambda pair: -pair[1].value)
    ranking = ", ".join(f"{group.name} {reward.value:.1f}" for group, reward in ranked)
    key = f"rewards-{eval_set.environment or 'all'}-{eval_set.split or 'all'}"
    return Figure(
        key=key if several else "rewards",
        title=f"Average reward by policy{f' on {eval_set.title}' if several else ''}",
        kind="intervals",
        x_label="Policy",
        y_label="Average reward × 100",
        series=grouped(measured),
        alt=f"From best to worst: {ranking}",
        notes=("Intervals: 95 % bootstrap over tasks.",),
        mark=baseline.reward.value if baseline and baseline.reward else None,
        mark_label=baseline.name if baseline else "",
    )
