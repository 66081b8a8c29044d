"""What becomes of a row that is longer than a model can read.

A row is never cut in the middle. It is an error, is dropped, or loses whole turns; which turns is
decided on messages, so that two models with different tokenizers read the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.models.masks import Messages
from tratree_cli.sections import LENGTH_POLICIES


@dataclass(frozen=True)
class LengthPolicy:
    """What happens to a row of more than ``max_length`` tokens (None: any length fits).

    ``keep-last-turns`` keeps the prompt, the first exchange after it, which holds the instruction,
    and the latest turns: whole exchanges (answer and observation) are removed, oldest first. What
    still does not fit is dropped.
    """

    max_length: int | None = None
    policy: str = "error"

    def __post_init__(self) -> None:
        if self.policy not in LENGTH_POLICIES:
            raise InputError(
                f"unknown length policy '{self.policy}'"
                f"{did_you_mean(self.policy, LENGTH_POLICIES)}; known: {', '.join(LENGTH_POLICIES)}"
            )

    def fits(self, length: int) -> bool:
        return self.max_length is None or length <= self.max_length


class Measured(Protocol):
    """A row, as far as its length is concerned; see ``data.SFTRow`` and ``data.PairRow``."""

    @property
    def length(self) -> int: ...

    @property
    def tokens(self) -> int: ...

    @property
    def scored(self) -> int: ...


@dataclass(frozen=True)
class LengthReport:
    """What became of the rows: how many are left, were dropped or shortened, and their tokens.

    ``silent`` counts rows dropped because no token of the agent is in them. ``tokens`` counts every
    token that is read, ``scored`` those that enter a loss; ``longest`` is the longest row left.
    """

    rows: int = 0
    dropped: int = 0
    shortened: int = 0
    silent: int = 0
    longest: int = 0
    tokens: int = 0
    scored: int = 0

    @property
    def scored_share(self) -> float:
        return self.scored / self.tokens if self.tokens else 0.0

    def with_row(self, row: Measured, shortened: bool) -> LengthReport:
        """The report with one more row that is left."""
        return replace(
            self,
            rows=self.rows + 1,
            shortened=self.shortened + shortened,
            longest=max(self.longest, row.length),
            tokens=self.tokens + row.tokens,
            scored=self.scored + row.scored,
        )

    def require_rows(self, what: str) -> None:
        """``InputError`` when there were rows and all of them were left out."""
        left_out = self.dropped + self.silent
        if left_out and not self.rows:
            raise InputError(
                f"none of {left_out} {what} is left: {self.dropped} are longer than the context "
                f"and {self.silent} have no words of the agent; raise max_length or use shorter "
                "ones"
            )


def removable_exchanges(messages: Messages, prefix: int) -> int:
    """How many exchanges ``without_exchanges`` may remove from ``messages``."""
    return max(0, (len(messages) - _opening(messages, prefix) - 1) // 2)


def without_exchanges(messages: Messages, prefix: int, count: int) -> Messages:
    """``messages`` without the ``count`` oldest exchanges after the opening.

    An exchange is an answer and the observation that follows it, so roles keep taking turns.
    """
    opening = _opening(messages, prefix)
    return [*messages[:opening], *messages[opening + 2 * count :]] if count else messages


def all_fit(lengths: Sequence[int], policies: Sequence[LengthPolicy], name: str) -> bool:
    """Whether a row of ``lengths[i]`` tokens for model i fits all of them.

    ``InputError`` where one that does not fit has the policy ``error``.
    """
    fits = True
    for length, policy in zip(lengths, policies, strict=True):
        if policy.fits(length):
            continue
        if policy.policy == "error":
            raise InputError(
                f"{name} has {length} tokens, more than {policy.max_length}; raise max_length, or "
                "choose the length policy 'drop' or 'keep-last-turns'"
            )
        fits = False
    return fits


def _opening(messages: Messages, prefix: int) -> int:
    """Messages that are never removed: the prefix, and the first exchange after it."""
    system = 1 if messages[0]["role"] == "system" else 0
    return max(prefix, system) + 2 - (max(prefix, system) - system) % 2
