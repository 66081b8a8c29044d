"""Fig. 4: average reward against the number of trajectories per task in the tree."""

from __future__ import annotations

from tratree_cli.display.blocks import Figure, Point, Series
from tratree_cli.methods.registry import shown_in
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import eval_set_of, eval_sets, of_main_models


def figure(data: ReportData) -> Figure | None:
    """Fig. 4: average reward against the number of trajectories per task in the tree."""
    groups = data.cohorts
    methods = [record.name for record in shown_in("figure_4")]
    points: dict[str, dict[float, Point]] = {}
    several = len(eval_sets(groups)) > 1
    for group in of_main_models(groups):
        breadth = group.descriptor.parameters.get("explore.m")
        other = set(group.descriptor.varied) - {"explore.m"}
        if group.method not in methods or breadth is None or other or group.reward is None:
            continue
        name = f"{group.name}, {eval_set_of(group, groups).title}" if several else group.name
        reward = group.reward
        points.setdefault(name, {})[float(breadth)] = Point(
            float(breadth), reward.value, reward.low, reward.high
        )
    series = [
        Series(name, tuple(by_breadth[x] for x in sorted(by_breadth)))
        for name, by_breadth in points.items()
        if len(by_breadth) > 1
    ]
    if not series:
        return None
    return Figure(
        key="figure-4",
        title="Reward by trajectories per task (Fig. 4)",
        kind="lines",
        x_label="Trajectories per task",
        y_label="Average reward × 100",
        series=tuple(series),
        alt=". ".join(
            f"{line.name} is best with {max(line.points, key=lambda p: p.y).x:g} trajectories"
            for line in series
        ),
    )
