"""Greedy against sampled decoding, and the best of N samples."""

from __future__ import annotations

from tratree_cli.display.blocks import TEXT, Cell, Column, Row, Table
from tratree_cli.reporting.report_data import ReportData


def table(data: ReportData) -> Table | None:
    """Greedy against sampled, and the best of N, for policies with several samples a task."""
    rows = []
    for group in data.main:
        metrics = group.runs[0].evaluation.metrics
        if len(metrics.settings) < 2 and not metrics.best_of:
            continue
        ways = [(setting.name, setting.reward) for setting in metrics.settings]
        ways += [(f"best of {n}", reward) for n, reward in (metrics.best_of or {}).items() if n > 1]
        rows += [
            Row((Cell(group.name), Cell(name), Cell(reward.value, reward.low, reward.high)))
            for name, reward in ways
        ]
    if not rows:
        return None
    return Table(
        key="sampling",
        title="Average reward by sampling",
        columns=(Column("Policy", TEXT), Column("Samples", TEXT), Column("Avg reward")),
        rows=tuple(rows),
        notes=(
            "Best of N picks by the environment's own score, which a deployed agent does not see. "
            "First seed only.",
        ),
    )
