"""What ``tratree show`` prints for a model: what it is, how it was trained, and its curves.

Curves are sparklines with their first and last value: enough to see that a loss fell, that it
rose again, or that nothing was learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from tratree_cli.display.sparkline import sparkline
from tratree_cli.display.text import one_line

_ARCHITECTURE = {
    "model_type": "type",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "vocab_size": "vocabulary",
    "max_position_embeddings": "context",
    "dtype": "stored as",
}
_CURVE_WIDTH = 40


def model_card(
    config: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
    title: str = "Model",
    length: Sequence[str] = (),
) -> RenderableType:
    """A model from its ``config.json`` and ``training.json`` (either may be empty).

    ``length`` are lines about how long it was trained.
    """
    parts: list[RenderableType] = [Text(one_line(title), style="bold")]
    known = [
        f"{name} {config[key]}"
        for key, name in _ARCHITECTURE.items()
        if config.get(key) is not None
    ]
    if known:
        parts.append(Text(one_line(", ".join(known))))
    if not training:
        parts.append(Text("No training record: a base model, or one made elsewhere.", style="dim"))
        return Group(*parts)
    parts += [Text(one_line(line)) for line in _training_lines(training)]
    parts += [Text(one_line(line)) for line in length]
    curves = training.get("curves") or {}
    if curves:
        parts.append(Text(""))
        names = max(len(str(name)) for name in curves)
        parts += [_curve(str(name), points, names) for name, points in sorted(curves.items())]
    return Group(*parts)


def _training_lines(training: Mapping[str, Any]) -> list[str]:
    lines = []
    if training.get("steps") is not None:
        lines.append(f"{training['steps']} updates, {training.get('tokens', 0):,} tokens")
    share = training.get("scored_share")
    if share is not None:
        lines.append(f"{100 * share:.1f} % of the tokens counted in the loss (the agent's own)")
    for part in ("facts", "parameters"):
        values = training.get(part) or {}
        if values:
            lines.append(", ".join(f"{key} {_spoken(value)}" for key, value in values.items()))
    return lines


def _spoken(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _curve(name: str, points: Sequence[Sequence[float]], width: int) -> Text:
    values = [float(point[1]) for point in points]
    if not values:
        return Text(f"{one_line(name):<{width}}  (no points)")
    drawn = sparkline(values, _CURVE_WIDTH)
    return Text(f"{one_line(name):<{width}}  {values[0]:8.4g} {drawn} {values[-1]:.4g}")
