"""The reward on dev after each round of exploring and training."""

from __future__ import annotations

from collections.abc import Sequence

from tratree_cli.display.blocks import Figure, Point, Series
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.round_results import PolicyRounds, RoundResult, policy_rounds


def figure(data: ReportData) -> Figure | None:
    """A line a policy; None where none played a second round."""
    return curve(policy_rounds(data))


def curve(policies: Sequence[PolicyRounds]) -> Figure | None:
    """The figure of these policies' rounds."""
    lines = [
        Series(policy.label, tuple(map(_point, policy.rounds)))
        for policy in policies
        if len(policy.rounds) > 1
    ]
    if not lines:
        return None
    return Figure(
        key="rounds-curve",
        title="Dev reward over rounds",
        kind="lines",
        x_label="Round",
        y_label="Average reward × 100 on dev",
        series=tuple(lines),
        alt=". ".join(
            f"{line.name} goes from {line.points[0].y:.1f} to {line.points[-1].y:.1f} in "
            f"{len(line.points)} rounds"
            for line in lines
        ),
    )


def _point(result: RoundResult) -> Point:
    reward = result.dev.reward if result.dev else None
    if reward is None:
        return Point(float(result.number), result.reward)
    return Point(float(result.number), reward.value, reward.low, reward.high)
