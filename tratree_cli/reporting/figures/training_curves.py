"""How the policies of a report were trained, as figures: the loss, and DPO's margin, by step.

A policy whose loss never fell, or whose margin ran away, is seen here before its reward is argued
about. The curves are those stored with each model (``training.json``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tratree_cli.display.blocks import Figure, Point, Series

Curves = Mapping[str, Sequence[Sequence[float]]]
"""A measure to its (step, value) points."""

_SHOWN = {
    "loss": ("Training loss", "Loss (nats per token; of a pair, for DPO)"),
    "margin": ("Margin of the preferred continuation", "Margin (β × log-ratio)"),
}


def training_figures(trained: Mapping[str, Curves]) -> tuple[Figure, ...]:
    """A figure a measure over ``trained``, curves by the policy's name; none without curves."""
    drawn = (_figure(measure, trained) for measure in _SHOWN)
    return tuple(figure for figure in drawn if figure is not None)


def _figure(measure: str, trained: Mapping[str, Curves]) -> Figure | None:
    series = tuple(
        Series(name, tuple(Point(float(step), float(value)) for step, value in curves[measure]))
        for name, curves in trained.items()
        if len(curves.get(measure, ())) > 1
    )
    if not series:
        return None
    title, label = _SHOWN[measure]
    told = (
        f"{one.name} goes from {one.points[0].y:.2f} to {one.points[-1].y:.2f}" for one in series
    )
    return Figure(
        key=f"training-{measure}",
        title=title,
        kind="lines",
        x_label="Optimizer step",
        y_label=label,
        series=series,
        alt=". ".join(told).replace("-0.00", "0.00").replace(" -", " −"),
    )
