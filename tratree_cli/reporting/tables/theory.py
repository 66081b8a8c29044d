"""What can be measured of Theorem 1 (section 3.3), beside what it promises.

The bound has an unknown constant and an optimal policy that nobody has, so it cannot be checked.
Its ingredients can be shown: how many pairs there were (N_p), whether the trained policy prefers
the right side of pairs it never saw, how far it moved from the weak reference, and whether the
tree's pairs part outcomes further than random ones. The failure-safe case is part of the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tratree_cli.display.blocks import COUNT, PERCENT, RATIO, TEXT, Cell, Column, Row, Table


@dataclass(frozen=True)
class PreferenceEvidence:
    """One trained policy; None where a figure was not measured.

    ``pairs`` is N_p, None for a policy that was not trained on pairs; ``accuracy`` the share of
    held-out pairs (in [0, 1]) whose preferred side has the higher implicit reward, over
    ``held_out`` pairs; ``margin`` their mean difference of log-ratios to the weak reference in nats
    (the implicit reward margin without its factor β); ``kl`` the estimated KL to the weak reference
    per token, in nats; ``score_gap`` the mean G of preferred minus rejected continuations.
    """

    label: str
    pairs: int | None
    held_out: int | None = None
    accuracy: float | None = None
    margin: float | None = None
    kl: float | None = None
    score_gap: float | None = None
    same_as_baseline: bool = False


def theory_table(evidence: Sequence[PreferenceEvidence]) -> Table | None:
    """One row a policy; None without any."""
    if not evidence:
        return None
    return Table(
        key="theory",
        title="What Theorem 1 rests on",
        columns=(
            Column("Policy", TEXT),
            Column("Pairs", COUNT),
            Column("Held out", COUNT),
            Column("Preferred", PERCENT),
            Column("Margin", RATIO),
            Column("KL", RATIO),
            Column("ΔG", RATIO),
        ),
        rows=tuple(_row(one) for one in evidence),
        notes=(
            "Pairs: N_p. Preferred: held-out pairs (of tasks that nobody trained on) whose better "
            "side has the higher log-ratio to the weak reference, in percent, with a 95 % Wilson "
            "interval. Margin: mean difference of the two log-ratios, in nats. KL: to the weak "
            "reference per token of the agent, in the states of those pairs. ΔG: preferred minus "
            "rejected score in training. Means over training seeds.",
            *(_failure_safe(one) for one in evidence if one.pairs == 0),
            "The bound itself cannot be checked: its constant and its best policy are unknown.",
        ),
    )


@dataclass(frozen=True)
class Informativeness:
    """Pairs of one kind: their score gaps in [0, 1], how many steps of the agent each teaches (from
    the divergence on, both sides), and how many steps its sides share."""

    label: str
    pairs: int
    gaps: tuple[float, ...]
    taught: tuple[int, ...]
    shared: tuple[int, ...]


def informativeness_table(kinds: Sequence[Informativeness], min_gap: float = 0.1) -> Table | None:
    """Pairs at divergences against random ones (Assumption 3); None without any pair."""
    if not any(kind.pairs for kind in kinds):
        return None
    return Table(
        key="informativeness",
        title="Pairs of the tree against random pairs",
        columns=(
            Column("Pairs", TEXT),
            Column("Possible", COUNT),
            Column(f"ΔG > {min_gap:g}", PERCENT),
            Column("Mean ΔG", RATIO),
            Column("Shared steps"),
            Column("Steps taught"),
            Column("ΔG per step", RATIO),
        ),
        rows=tuple(_informative_row(kind, min_gap) for kind in kinds),
        notes=(
            "All pairs that the first seed's rollouts allow, before any limit. Shared steps: what "
            "both sides have in common. Steps taught: the agent's steps that a preference blames "
            "or praises, both sides together; the fewer, the better the outcome is pinned to a "
            "decision (Assumption 3). ΔG per step: mean over pairs.",
        ),
    )


def _informative_row(kind: Informativeness, min_gap: float) -> Row:
    if not kind.pairs:
        return Row((Cell(kind.label), Cell(0), *(Cell() for _ in range(5))))
    per_step = [gap / max(steps, 1) for gap, steps in zip(kind.gaps, kind.taught, strict=True)]
    return Row(
        (
            Cell(kind.label),
            Cell(kind.pairs),
            Cell(100 * fmean(gap > min_gap for gap in kind.gaps)),
            Cell(fmean(kind.gaps)),
            Cell(fmean(kind.shared)),
            Cell(fmean(kind.taught)),
            Cell(fmean(per_step)),
        )
    )


def wilson(share: float, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval of a share observed on ``count`` > 0 cases."""
    centre = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return (centre - half) / scale, (centre + half) / scale


def _row(one: PreferenceEvidence) -> Row:
    preferred = Cell()
    if one.accuracy is not None:
        preferred = Cell(100 * one.accuracy)
        if one.held_out:
            low, high = wilson(one.accuracy, one.held_out)
            preferred = Cell(100 * one.accuracy, 100 * low, 100 * high)
    return Row(
        (
            Cell(one.label),
            Cell(one.pairs),
            Cell(one.held_out),
            preferred,
            Cell(one.margin),
            Cell(one.kl),
            Cell(one.score_gap),
        )
    )


def _failure_safe(one: PreferenceEvidence) -> str:
    if one.same_as_baseline:
        return (
            f"{one.label}: no pair was informative, so the result is the SFT strong model itself "
            "(the failure-safe case)."
        )
    return f"{one.label}: no pair was informative, yet the result differs from its start."
