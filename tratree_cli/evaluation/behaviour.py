"""Figures that say why a reward is what it is: shares of episodes, and the reward within them.

All are means over tasks, as the reward is: first the samples of a task are averaged (or the best
of N taken), then tasks. A reward within a share weighs tasks by their share, so that share times
reward is the part of the average reward that these episodes earn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tratree_cli.envs.protocol import RewardPart
from tratree_cli.evaluation.metrics import chosen_samples
from tratree_cli.evaluation.results import EpisodeResult

Figure = Callable[[EpisodeResult], float | None]
"""One number of an episode; None where it is not known."""


def strict(result: EpisodeResult) -> float:
    """1 for a reward of 1, whatever the environment calls a success."""
    return float(result.perfect)


def unfinished(result: EpisodeResult) -> float:
    """1 for an episode that a limit or unparsable output ended."""
    return float(not result.finished)


def repeating(result: EpisodeResult) -> float | None:
    """1 for an episode with a repeated action (``evaluation.turns``)."""
    return None if result.repeated is None else float(result.repeated > 0)


def malformed(result: EpisodeResult) -> float | None:
    """The number of malformed turns."""
    return None if result.malformed is None else float(result.malformed)


def of_part(part: RewardPart) -> Figure:
    """1 for an episode of this part."""
    return lambda result: float(part.holds(result))


def by_task(
    results: Sequence[EpisodeResult], figure: Figure, best_of: int | None = None
) -> dict[str, float]:
    """The figure of each task, averaged over its samples; tasks where it is unknown are missing."""
    found = {}
    for task, samples in chosen_samples(results, best_of).items():
        values = [value for sample in samples if (value := figure(sample)) is not None]
        if values:
            found[task] = fmean(values)
    return found


@dataclass(frozen=True)
class Share:
    """The share of episodes of a part, and the mean reward of these; None where there are none."""

    share: float
    reward: float | None


def share_of(
    results: Sequence[EpisodeResult], part: RewardPart, best_of: int | None = None
) -> Share | None:
    """Share in [0, 1] and reward in [0, 1] of a part; None without a scored episode."""
    shares = by_task(results, of_part(part), best_of)
    if not shares:
        return None
    earned = by_task(results, lambda r: (r.score or 0.0) * part.holds(r), best_of)
    total = sum(shares.values())
    return Share(total / len(shares), sum(earned.values()) / total if total else None)


def mean(tasks: Mapping[str, float]) -> float | None:
    """The mean over tasks; None for none."""
    return fmean(tasks.values()) if tasks else None
