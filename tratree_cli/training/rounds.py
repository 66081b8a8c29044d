"""The rounds of a method as a model stores them: what each added and earned, why they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

ROUNDS = "rounds"
"""Under which name a model's summary holds them."""


@dataclass(frozen=True)
class PlayedRound:
    """One round: what it added, and how its model played the dev tasks.

    ``episodes`` are those that are new, ``divergences`` those of the grown trees, ``updates`` the
    optimizer steps of the round's own training. ``reward`` and its interval over tasks are averages
    times 100, ``success`` is in percent. ``model`` and ``evaluation`` are recipes.
    """

    number: int
    episodes: int
    divergences: int
    updates: int
    reward: float
    low: float | None
    high: float | None
    success: float
    model: str
    evaluation: str


@dataclass(frozen=True)
class Rounds:
    """The rounds that were trained, at most ``limit``, and the sentence that says why they ended.

    ``explored`` counts the new episodes of a last round that was explored and not trained.
    """

    played: tuple[PlayedRound, ...]
    limit: int
    tasks: int
    ended: str = ""
    explored: int = 0

    @property
    def best(self) -> PlayedRound:
        """The highest reward, then success; of equal ones the first."""
        return max(self.played, key=lambda one: (one.reward, one.success, -one.number))

    @property
    def updates(self) -> int:
        """Optimizer steps of all rounds."""
        return sum(one.updates for one in self.played)

    @property
    def episodes(self) -> int:
        """Episodes of all rounds."""
        return sum(one.episodes for one in self.played) + self.explored

    def stalled(self, patience: int) -> bool:
        """Whether the last ``patience`` rounds brought no gain; never with 0."""
        return bool(patience) and self.played[-1].number - self.best.number >= patience

    def record(self) -> dict[str, Any]:
        """As a model's summary holds it."""
        document = asdict(self)
        return {"best": self.best.number, **document, "played": list(document["played"])}


def rounds_of(summary: Mapping[str, Any]) -> Rounds | None:
    """The rounds behind a model with this summary; None for one that was trained in one."""
    stored = summary.get(ROUNDS)
    if stored is None:
        return None
    played = tuple(PlayedRound(**one) for one in stored["played"])
    return Rounds(played, stored["limit"], stored["tasks"], stored["ended"], stored["explored"])


def updates_of(summary: Mapping[str, Any]) -> int:
    """Optimizer steps of a model's training, those of all its rounds."""
    rounds = rounds_of(summary)
    return rounds.updates if rounds else int(summary.get("optimizer_steps", 0))


def as_lines(summary: Mapping[str, Any]) -> list[str]:
    """The rounds of the model with this summary, one a line, and why they ended."""
    rounds = rounds_of(summary)
    if rounds is None:
        return []
    lines = [
        f"round {one.number}: {one.episodes} new episodes, {one.divergences} divergences, "
        f"{one.updates} updates: dev reward {one.reward:.1f}, success {one.success:.1f} %"
        for one in rounds.played
    ]
    return [f"round {rounds.best.number} of {rounds.limit} on {rounds.tasks} dev tasks", *lines] + (
        [rounds.ended] if rounds.ended else []
    )
