"""The selection rule of the search (paper, Eq. 7), in one place.

``UCB(M) = r_M / c_M + gamma * sqrt(log C_M / c_M)``, where ``c_M`` counts the visits of the option,
``r_M`` sums what they returned and ``C_M`` counts the visits of its parent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from typing import TypeAlias

import numpy as np

from tratree_cli.trees.columns import FloatArray

SelectionRule: TypeAlias = Callable[[Sequence[float], Sequence[int], int], int]
"""``rule(mean, count, visits)``: the option to take next, all of them visited at least once."""


def log_table(rollouts: int) -> FloatArray:
    """``log n`` for n = 0 … rollouts; one table, so that every implementation reads equal bits."""
    with np.errstate(divide="ignore"):
        return np.log(np.arange(rollouts + 1, dtype=np.float64))


def ucb_rule(rollouts: int, gamma: float) -> SelectionRule:
    """The option with the highest UCB, ties to the lower index."""
    logs = log_table(rollouts).tolist()

    def rule(mean: Sequence[float], count: Sequence[int], visits: int) -> int:
        log = logs[visits]
        bounds = [r + gamma * sqrt(log / c) for r, c in zip(mean, count, strict=True)]
        return bounds.index(max(bounds))

    return rule


def exploration_table(rollouts: int, gamma: float) -> FloatArray:
    """The second term of UCB at ``C_M * rollouts + c_M``, ``[rollouts²]``; 0 without a visit."""
    count = np.arange(rollouts, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        table = gamma * np.sqrt(log_table(rollouts)[:rollouts, None] / count)
    table[0] = table[:, 0] = 0.0
    return table.reshape(-1)
