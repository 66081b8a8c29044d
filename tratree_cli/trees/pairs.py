"""Preference pairs as numbers (paper, section 3.2, Eq. 6), and why a pair is not made.

Pairs refer to trajectories by index; ``formats.pairs`` adds their texts. Whatever could have been
a pair and is not is counted under its reason. ``divergence_pairs`` and ``trajectory_pairs`` find
pairs, ``pair_limits`` says how many of them stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

BranchSelect: TypeAlias = Literal["best-worst", "all", "adjacent"]
BRANCH_SELECTIONS: tuple[BranchSelect, ...] = ("best-worst", "all", "adjacent")
TieBreak: TypeAlias = Literal["", "shorter"]
Basis: TypeAlias = Literal["score", "length", "mirror"]
KindOf: TypeAlias = Callable[[int, int], str]
"""What differs between two actions, given by their text numbers: the better, then the worse one."""

GAP = "gap too small"
STOP = "one side only stops"
SAME_ACTION = "same action"
OTHER_STATE = "different states"
UNPARSABLE_SIDE = "unparsable side"
NO_EFFECT = "side without effect"
LOW_CHOSEN = "chosen score too low"
DUPLICATE = "duplicate"
IDENTICAL = "same words on both sides"
SILENT = "no words"
PER_NODE = "over the limit per node"
PER_KIND = "over the limit per task and kind"
PER_TASK = "over the limit per task"

ROUNDING = 1e-9
"""Scores that differ by no more are equal where a limit is compared with them."""


@dataclass(frozen=True)
class Pair:
    """One preference: from step ``step`` on, ``chosen`` went better than ``rejected``.

    ``chosen`` and ``rejected`` are trajectory indices (``chosen`` of the demonstrations in a
    ``PairSet`` that is ``demonstrated``). ``node`` is the divergence point, -1 where whole
    trajectories are compared. The values are the branches' mean G, or the trajectories' own G;
    ``chosen_visits`` and ``rejected_visits`` are the numbers of trajectories of these means.
    ``horizon`` is the number of steps of each continuation, 0 to the end. ``kind`` names what
    differs between the first actions.

    ``rejected_step`` is the turn with which the rejected side begins where that is another one than
    ``step`` (else -1): in a state graph the two may have come to their state by different ways.

    ``basis`` says why the one side is preferred: the score, at equal scores the length, or
    ``mirror`` (``mirror_pairs``): then both sides are turns of the trajectory ``chosen``, and no
    recorded trajectory goes on with the rejected one (``rejected_visits`` is 0).
    """

    task: int
    step: int
    chosen: int
    rejected: int
    chosen_value: float
    rejected_value: float
    chosen_visits: int = 1
    rejected_visits: int = 1
    node: int = -1
    horizon: int = 0
    kind: str = ""
    basis: Basis = "score"
    rejected_step: int = -1

    @property
    def rejected_place(self) -> int:
        """The turn of the trajectory ``rejected`` with which its side begins."""
        return self.step if self.rejected_step < 0 else self.rejected_step

    @property
    def gap(self) -> float:
        """How much better the chosen side did, in (0, 1] where the score decided."""
        return self.chosen_value - self.rejected_value


@dataclass(frozen=True)
class PairSet:
    """Pairs in order of tasks and nodes, and what was dropped, by reason.

    ``divergences`` counts the points at which different actions were taken in one state (or, for
    rules on whole trajectories, the tasks with at least two trajectories). ``demonstrated``:
    the chosen trajectories are demonstrations.
    """

    pairs: Sequence[Pair]
    dropped: Mapping[str, int] = field(default_factory=dict)
    divergences: int = 0
    demonstrated: bool = False

    def __len__(self) -> int:
        return len(self.pairs)


def no_kind(better: int, worse: int) -> str:
    """The kind of a difference where nobody names kinds."""
    return ""
