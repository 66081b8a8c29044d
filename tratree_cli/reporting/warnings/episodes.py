"""Whether training made episodes worse in a way that an average reward does not show.

A policy is compared with the model that its training started from, on the same tasks. A change is
bad if it is at least the rule's threshold and its paired interval over tasks leaves out 0: the
threshold keeps out what does not matter, the interval what may be chance.
"""

from __future__ import annotations

from dataclasses import dataclass

from tratree_cli.display.blocks import NUMBER, RATIO
from tratree_cli.envs.protocol import RewardPart
from tratree_cli.evaluation.bootstrap import Interval
from tratree_cli.reporting.warnings.sign import Sign

MALFORMED_RISE = 0.05
"""Malformed turns an episode: one more in twenty episodes."""
UNFINISHED_RISE = 2.0
"""Percentage points of episodes that a limit or unparsable output ended."""
REPEATS_RISE = 3.0
"""Percentage points of episodes that repeat an action."""
PART_CHANGE = 2.0
"""Percentage points of episodes that have a part of the reward, as WebShop's purchases."""


@dataclass(frozen=True)
class Change:
    """A figure of the policy and of its start, and the paired difference, all in one unit."""

    own: float
    start: float
    difference: Interval

    def rises(self, threshold: float) -> bool:
        """Whether the difference is at least so large, and its interval above 0."""
        low = self.difference.low
        return self.difference.value >= threshold and low is not None and low > 0

    def falls(self, threshold: float) -> bool:
        """Whether the difference is at least so far below 0, and so is its interval."""
        high = self.difference.high
        return self.difference.value <= -threshold and high is not None and high < 0


def malformed(change: Change) -> Sign:
    """Malformed turns an episode."""
    bad = change.rises(MALFORMED_RISE)
    return _sign("Malformed", change, f"malformed turns {_turns(change)}" if bad else "", RATIO)


def unfinished(change: Change) -> Sign:
    """Percent of episodes that are not finished."""
    bad = change.rises(UNFINISHED_RISE)
    return _sign("Unfinished", change, f"unfinished episodes {_percent(change)}" if bad else "")


def repeats(change: Change) -> Sign:
    """Percent of episodes that repeat an action."""
    bad = change.rises(REPEATS_RISE)
    words = f"episodes that repeat an action {_percent(change)}" if bad else ""
    return _sign("Repeats", change, words)


def part(change: Change, declared: RewardPart) -> Sign:
    """Percent of episodes of a part that an environment declares, by what it calls better."""
    bad = (declared.better == "more" and change.falls(PART_CHANGE)) or (
        declared.better == "fewer" and change.rises(PART_CHANGE)
    )
    words = f"episodes that {declared.name} {_percent(change)}" if bad else ""
    return _sign(declared.name.capitalize(), change, words)


def _sign(title: str, change: Change, words: str, kind: str = NUMBER) -> Sign:
    difference = change.difference
    return Sign(title, difference.value, difference.low, difference.high, kind, words)


def _percent(change: Change) -> str:
    return f"{_verb(change)} from {change.start:.1f} to {change.own:.1f} %"


def _turns(change: Change) -> str:
    return f"{_verb(change)} from {change.start:.2f} to {change.own:.2f} an episode"


def _verb(change: Change) -> str:
    return "rise" if change.difference.value > 0 else "fall"
