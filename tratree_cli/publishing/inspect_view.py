"""Rollouts and evaluations of the store as logs of Inspect (``formats.inspect_log``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tratree_cli import __version__
from tratree_cli.display.headlines import called
from tratree_cli.errors import InputError
from tratree_cli.formats.inspect_log import LogHead, write_inspect_log
from tratree_cli.formats.rollouts import read_rollouts
from tratree_cli.methods.registry import title

if TYPE_CHECKING:
    from tratree_store import Entry

KINDS = ("rollouts", "demos", "evaluation")


def write_log(entry: Entry, path: Path) -> int:
    """Write the episodes of ``entry`` as a ``.eval`` file; return how many there are."""
    if entry.kind not in KINDS:
        raise InputError(f"{entry.kind} has no episodes for Inspect; {', '.join(KINDS)} have")
    if path.suffix != ".eval":
        raise InputError(f"{path}: Inspect opens files that end in .eval; name it so")
    rollouts = read_rollouts(entry.path)
    return write_inspect_log(rollouts, _head(entry, rollouts.split), path)


def _head(entry: Entry, split: str) -> LogHead:
    environment = str((entry.document.get("environment") or {}).get("name") or "episodes")
    label = str(entry.provenance.get("label") or entry.stage)
    return LogHead(
        task=f"{environment}/{split}" if split else environment,
        model=f"tratree/{called(label, title).removeprefix('evaluation of ')}",
        identity=entry.object,
        created=entry.created,
        seconds=entry.seconds,
        figures=_figures(entry),
        metadata={
            "artifact": entry.ref,
            "recipe_digest": entry.recipe,
            "recipe": str((entry.provenance.get("config") or {}).get("recipe") or ""),
            "tratree": __version__,
        },
    )


def _figures(entry: Entry) -> dict[str, dict[str, float]]:
    """The artifact's own summary, rewards from 0 to 1 as the samples have them."""
    summary = entry.summary
    found: dict[str, dict[str, float]] = {}
    if "average_reward" in summary:
        found["reward"] = {"mean": summary["average_reward"] / 100}
        low, high = summary.get("interval") or (None, None)
        if low is not None and high is not None:
            found["reward"] |= {"interval_low": low / 100, "interval_high": high / 100}
    if "success_rate" in summary:
        found["success"] = {"accuracy": summary["success_rate"] / 100}
    return found
