"""Whether supervised training went on for long enough, from figures that models store.

It did not where lengths were compared on the dev split and the longest of them was the best. The
fall of the loss over the last quarter of the updates is stored as well and decides nothing: under a
cosine schedule it is no smaller at the optimum than far before it (docs/training.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

LOSS_FALL, AUTO_LENGTH = "loss_fall", "auto"
"""Under which names a model's summary holds the figures."""


@dataclass(frozen=True)
class TriedLength:
    """One training: its length, its last loss (nats per token), and how it played the dev tasks.

    ``reward`` is the average times 100, ``success`` in percent.
    """

    epochs: float
    updates: int
    loss: float
    reward: float
    success: float


@dataclass(frozen=True)
class LengthSearch:
    """What lengths were tried in rising order, and how many tasks each of them played."""

    tried: tuple[TriedLength, ...]
    candidates: tuple[float, ...]
    tasks: int

    @property
    def best(self) -> TriedLength:
        """The highest reward, then success; of equal ones the shortest.

        Where none earned anything, it is the longest.
        """

        def merit(length: TriedLength) -> tuple[float, float, float]:
            return length.reward, length.success, -length.epochs if length.reward else length.epochs

        return max(self.tried, key=merit)

    @property
    def rising(self) -> bool:
        """Whether the longest allowed training was better than all shorter ones."""
        return len(self.candidates) > 1 and self.best.epochs == self.candidates[-1]

    def ended(self, patience: int) -> bool:
        """Whether the last ``patience`` lengths brought nothing, or all were tried."""
        after = len(self.tried) - 1 - self.tried.index(self.best)
        return after >= patience or len(self.tried) == len(self.candidates)

    def record(self) -> dict[str, Any]:
        """As a model's summary holds it."""
        return {
            "epochs": self.best.epochs,
            "tasks": self.tasks,
            "rising": self.rising,
            "candidates": list(self.candidates),
            "tried": [asdict(length) for length in self.tried],
        }


def length_search(summary: Mapping[str, Any]) -> LengthSearch | None:
    """The search behind a model with this summary; None where its length was given."""
    stored = summary.get(AUTO_LENGTH)
    if stored is None:
        return None
    tried = tuple(TriedLength(**length) for length in stored["tried"])
    return LengthSearch(tried, tuple(stored["candidates"]), stored["tasks"])


def in_words(search: LengthSearch) -> str:
    """``auto: 40 epochs of 8, 16, 24, 40, 64; dev 79.9``."""
    tried = ", ".join(f"{length.epochs:g}" for length in search.tried)
    best = search.best
    return f"auto: {best.epochs:g} epochs of {tried}; dev {best.reward:.1f}"


def loss_fall(curve: Sequence[Sequence[float]]) -> float | None:
    """By what share the mean loss fell from the third quarter of the updates to the last.

    ``curve`` has (step, loss) points. None where a quarter has no point, negative where it rose.
    """
    total = curve[-1][0] if curve else 0
    third = [loss for step, loss in curve if 0.5 * total < step <= 0.75 * total]
    last = [loss for step, loss in curve if step > 0.75 * total]
    if not third or not last or fmean(third) <= 0:
        return None
    return 1 - fmean(last) / fmean(third)


def unconverged(summary: Mapping[str, Any]) -> str:
    """Why an SFT model with this summary was trained too short; empty where nothing says so."""
    search = length_search(summary)
    if search is None or not search.rising:
        return ""
    longest = f"{search.candidates[-1]:g} epochs, the longest tried"
    if not search.best.reward:
        return f"no dev task had any reward up to {longest}"
    return f"dev reward was still rising at {longest}"


def as_lines(summary: Mapping[str, Any]) -> list[str]:
    """The lengths that were tried for the model with this summary, and whether it converged."""
    search, short = length_search(summary), unconverged(summary)
    lines = []
    if search is not None:
        lines.append(f"{in_words(search)} ({search.tasks} tasks)")
        lines += [
            f"{length.epochs:g} epochs, {length.updates} updates: loss {length.loss:.4g}, "
            f"dev reward {length.reward:.1f}, success {length.success:.1f} %"
            for length in search.tried
        ]
    return [*lines, *([f"not converged: {short}"] if short else [])]
