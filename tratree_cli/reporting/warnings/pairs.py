"""Whether a preference training's pairs had something to teach, from what its model stored.

The facts are measured once before training, with the model that training starts from and the
reference's scores (``training.reference``).
"""

from __future__ import annotations

from tratree_cli.display.blocks import PERCENT
from tratree_cli.reporting.warnings.sign import Sign

PREFERRED_BEFORE = 0.6
"""Share of pairs whose better side is preferred before any update: chance is one half."""
VARIANCE_AFTER_FIRST_TURN = 0.5
"""Share of the margin's variance: above it most of what the loss sees is not the choice itself."""


def preferred_before(share: float) -> Sign:
    """``share`` in [0, 1] of the pairs that the start already prefers.

    By the likelihood of the first turns (``initial_preferred``); models of earlier versions know
    only by the margin against the reference (``initial_accuracy``).
    """
    bad = share > PREFERRED_BEFORE
    words = (
        f"its start already preferred the better side of {share:.0%} of the pairs" if bad else ""
    )
    return Sign("Preferred before", 100 * share, kind=PERCENT, words=_percent_sign(words))


def variance_after_first_turn(share: float) -> Sign:
    """``share`` in [0, 1] of the variance of the margin that lies after the first turn."""
    bad = share > VARIANCE_AFTER_FIRST_TURN
    words = f"{share:.0%} of the margin's variance lies after the first turn" if bad else ""
    return Sign("Later variance", 100 * share, kind=PERCENT, words=_percent_sign(words))


def _percent_sign(words: str) -> str:
    return words.replace("%", " %")
