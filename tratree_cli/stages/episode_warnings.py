"""What is said about episodes that could not go well, whatever the policy is worth.

A reward of zero says nothing of why. Nearly all episodes ending for one reason is a wrong setting
far more often than a bad model, so the cause is named, with an example to look at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tratree_cli.formats.rollouts import Rollouts, Trajectory

NEARLY_ALL = 0.9
"""From this share of the episodes (or steps) on, a cause is named."""
EXAMPLE = 160
"""The longest example, in characters."""


def hopeless_episodes(rollouts: Rollouts, max_context: int) -> list[str]:
    """A sentence for what ended nearly all of the episodes that count."""
    from tratree_cli.formats.rollouts import CONTEXT_OVERFLOW, UNPARSABLE

    counted = [t for t in rollouts.trajectories if t.counted]
    said = []
    for end, explain in ((UNPARSABLE, _unparsable), (CONTEXT_OVERFLOW, _overflown)):
        of_kind = [t for t in counted if t.end == end]
        if counted and len(of_kind) >= NEARLY_ALL * len(counted):
            cause = explain(rollouts, of_kind[0], max_context)
            said.append(f"{len(of_kind)} of {len(counted)} episodes ended by {end}: {cause}")
    return said or _without_effect(rollouts, counted)


def _unparsable(rollouts: Rollouts, first: Trajectory, max_context: int) -> str:
    reply = rollouts.texts[first.outputs[0]] if first.outputs else ""
    cause = "replies hold no line 'Action: ...'"
    if not rollouts.prompt.get("messages"):
        cause += (
            ", and the prompt has no instructions: choose one that has (env.prompt, as "
            "`--set env.prompt=eto-example` for webshop)"
        )
    else:
        cause += "; train the model on demonstrations first, or choose another prompt (env.prompt)"
    return f"{cause}; task {first.task} was answered {_shown(reply)}"


def _overflown(rollouts: Rollouts, first: Trajectory, max_context: int) -> str:
    before = sum(len(message["content"]) for message in rollouts.prompt.get("messages", []))
    seen = len(rollouts.texts[first.observations[0]]) if first.observations else 0
    return (
        "conversations outgrew what the policy reads (explore.max_context is "
        f"{max_context} tokens, and no model reads more than it has positions for); task "
        f"{first.task} ended after {first.steps} steps, its prompt has {before:,} characters and "
        f"its first observation {seen:,}"
    )


def _without_effect(rollouts: Rollouts, counted: Sequence[Trajectory]) -> list[str]:
    steps = [
        (t, number)
        for t in counted
        for number, action in enumerate(t.actions)
        if action >= 0 and number < len(t.valid)
    ]
    idle = [(t, number) for t, number in steps if not t.valid[number]]
    if not steps or len(idle) < NEARLY_ALL * len(steps):
        return []
    example, number = idle[0]
    return [
        f"{len(idle)} of {len(steps)} actions had no effect: the environment does not know them as "
        "they are written; train the model on demonstrations, choose a prompt that lists the "
        f"actions (env.prompt), or set explore.constrain=true; task {example.task} was told "
        f"{_shown(rollouts.texts[example.actions[number]])}"
    ]


def _shown(text: str) -> str:
    """A text on one line, cut to a length that a terminal shows."""
    line = " ".join(text.split())
    return repr(line if len(line) <= EXAMPLE else line[: EXAMPLE - 1] + "…")


def shorter_contexts(
    models: Sequence[tuple[str, Path]], max_context: int, limit: Callable[[Path], int | None]
) -> list[str]:
    """A sentence for each model (a name and a folder) that reads less than ``max_context``."""
    said = []
    for name, folder in models:
        positions = limit(folder)
        if positions and positions < max_context:
            said.append(
                f"{name} has positions for {positions} tokens, so its conversations end there and "
                f"not at explore.max_context = {max_context}"
            )
    return said


def lost_in_bfloat16(models: Sequence[tuple[str, Path]], precision: Callable[[], str]) -> list[str]:
    """A sentence for each merged model of which bfloat16 would lose what it learnt.

    ``precision`` is asked only where there is such a model, since the answer takes torch.
    """
    said = []
    for name, folder in models:
        kept = _kept_in_bfloat16(folder)
        if kept < 0.99 and precision() == "bfloat16":
            said.append(
                f"played in bfloat16, {name} keeps only {100 * kept:.0f} % of what it learnt last; "
                "use --set explore.dtype=float32, or train with sft.lora_merge=false"
            )
    return said


def _kept_in_bfloat16(folder: Path) -> float:
    try:
        record: Any = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        return float(record.get("update_kept", {}).get("bfloat16", 1.0))
    except (OSError, ValueError, AttributeError):
        return 1.0
