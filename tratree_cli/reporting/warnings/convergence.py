"""Whether supervised training stopped before its optimum, so that more of it alone may gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from tratree_cli.display.blocks import PERCENT
from tratree_cli.reporting.warnings.sign import Sign
from tratree_cli.training.convergence import LOSS_FALL, unconverged


def stopped_early(summaries: Sequence[Mapping[str, Any]]) -> Sign | None:
    """The mean fall of the loss over the last quarter, over the models of one policy's seeds.

    Bad where the dev reward of any of them was still rising at the longest length that was tried;
    the loss alone tells nothing (``training.convergence``). None for models that are not of SFT.
    """
    falls = [float(summary[LOSS_FALL]) for summary in summaries if LOSS_FALL in summary]
    reasons = [reason for summary in summaries if (reason := unconverged(summary))]
    if not falls:
        return None
    of = f" ({len(reasons)} of {len(summaries)} seeds)" if len(summaries) > 1 else ""
    words = f"{reasons[0]}{of}, so more training alone may gain" if reasons else ""
    return Sign("Loss fall", 100 * fmean(falls), kind=PERCENT, words=words)
