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

from tratree_cli.evaluation.document import COUNT, PERCENT, RATIO, TEXT, Cell, Column, Row, Table


@dataclass(frozen=True)
class PreferenceEvidence:
    """One trained policy; None where a figure was not measured.

    ``pairs`` is N_p; ``accuracy`` the share of held-out pairs (in [0, 1]) whose preferred side has
    the higher implicit reward, over ``held_out`` pairs; ``margin`` their mean reward margin in
    nats; ``kl`` the estimated KL to the weak reference per token, in nats; ``score_gap`` the mean
    G of preferred minus rejected continuations in [0, 1].
    """

    label: str
    pairs: int
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
            "Pairs: N_p. Preferred: held-out pairs ranked rightly, in percent, with a 95 % Wilson "
            "interval. Margin: mean implicit reward margin there. KL: estimate to the weak "
            "reference per token. ΔG: score of preferred minus rejected continuations.",
            *(_failure_safe(one) for one in evidence if not one.pairs),
        ),
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
