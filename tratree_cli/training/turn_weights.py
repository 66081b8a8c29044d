"""The turns of a row, and the weight that each has in the loss on pairs (``dpo.turn_discount``).

DMPO (Shi et al., 2024, arXiv 2406.14868) replaces the log-ratio of a trajectory of T turns by the
sum over its turns j = 0, ..., T - 1 of phi(j, T) times their log-ratio, where

    phi(j, T) = g^j * (1 - g^(T - j)) / (1 - g^T),    and (T - j) / T at g = 1.

The first turn has the weight 1 and later ones less, each side by its own number of turns. Here
turns are counted from where the two sides part: for whole trajectories, DMPO's own setting, that is
the first turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby


def turn_lengths(mask: Sequence[int]) -> list[int]:
    """The number of scored tokens of each turn: what is not scored (an observation) ends one."""
    return [sum(1 for _ in run) for scored, run in groupby(mask) if scored]


def discounts(turns: int, discount: float) -> list[float]:
    """phi(j, T) for j = 0, ..., T - 1, of ``turns`` = T; all 1 where ``discount`` is 0 (none)."""
    if not discount:
        return [1.0] * turns
    if discount == 1:
        return [(turns - j) / turns for j in range(turns)]
    whole = 1 - discount**turns
    return [discount**j * (1 - discount ** (turns - j)) / whole for j in range(turns)]


def token_weights(mask: Sequence[int], discount: float) -> list[float]:
    """The weight of each token of a side with this 0/1 mask; 0 where it is not scored."""
    of_turn = iter(discounts(len(turn_lengths(mask)), discount))
    weights: list[float] = []
    for scored, run in groupby(mask):
        weights += [next(of_turn) if scored else 0.0] * sum(1 for _ in run)
    return weights
