"""How the policies of a report were trained, as figures: the loss, and DPO's margin, by step.

A policy whose loss never fell, or whose margin ran away, is seen here before its reward is argued
about. The curves are those stored with each model (``training.json``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tratree_cli.display.blocks import Figure, Point, Series
from tratree_cli.methods.registry import is_method, method
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.environments import in_each_environment
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import EvaluationRow

if TYPE_CHECKING:
    from tratree_cli.display.blocks import Block

Curves = Mapping[str, Sequence[Sequence[float]]]
"""A measure to its (step, value) points."""


@dataclass(frozen=True)
class _Chart:
    """A chart: the measure that it draws of the policies ``with_margin`` or without, its unit.

    DPO's loss is one of a pair and imitation's one of a token: they share no axis. A policy that
    has a margin was trained on pairs.
    """

    key: str
    measure: str
    with_margin: bool
    title: str
    label: str


_CHARTS = (
    _Chart("loss", "loss", False, "Training loss of imitation", "Loss (nats per token)"),
    _Chart("loss-pairs", "loss", True, "Training loss on pairs (DPO)", "Loss (nats per pair)"),
    _Chart(
        "margin", "margin", True, "Margin of the preferred continuation", "Margin (β × log-ratio)"
    ),
)


def figures(data: ReportData) -> tuple[Block, ...]:
    """The curves of the policies of every environment, of the first seed."""
    drawn = {
        environment: training_figures(_curves(rows)) for environment, rows in data.main_rows.items()
    }
    return in_each_environment(drawn, data)


def _curves(rows: Sequence[EvaluationRow]) -> dict[str, Curves]:
    import orjson

    trained: dict[str, Any] = {}
    for row in rows:
        policy = row.lineage.policy if row.lineage else None
        record = policy.path / "training.json" if policy else None
        # The best of N is chosen among the baseline's own episodes: it was not trained.
        sampled = is_method(row.descriptor.method) and method(row.descriptor.method).best_of > 1
        if record is not None and record.is_file() and not sampled:
            curves = orjson.loads(record.read_bytes()).get("curves", {})
            trained.setdefault(Cohort((row,)).name, curves)
    return trained


def training_figures(trained: Mapping[str, Curves]) -> tuple[Figure, ...]:
    """A figure a measure over ``trained``, curves by the policy's name; none without curves."""
    drawn = (_figure(chart, trained) for chart in _CHARTS)
    return tuple(figure for figure in drawn if figure is not None)


def _figure(chart: _Chart, trained: Mapping[str, Curves]) -> Figure | None:
    measure = chart.measure
    series = tuple(
        Series(name, tuple(Point(float(step), float(value)) for step, value in curves[measure]))
        for name, curves in trained.items()
        if len(curves.get(measure, ())) > 1 and ("margin" in curves) == chart.with_margin
    )
    if not series:
        return None
    sentences = (
        f"{line.name} goes from {line.points[0].y:.2f} to {line.points[-1].y:.2f}"
        for line in series
    )
    return Figure(
        key=f"training-{chart.key}",
        title=chart.title,
        kind="lines",
        x_label="Optimizer step",
        y_label=chart.label,
        series=series,
        alt=". ".join(sentences).replace("-0.00", "0.00").replace(" -", " −"),
    )
