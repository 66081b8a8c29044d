"""Pairs of whole trajectories that are never listed, only counted and looked up.

A task with thousands of trajectories has millions of pairs of which a few are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tratree_cli.trees.columns import FloatArray


class PairIndex:
    """All pairs of a task whose gap is wide enough, by number, without listing them.

    Candidates for the worse side stand by rising G, so those that a better one can be paired with
    come first: how many there are is one binary search, and pair n is another.
    """

    def __init__(
        self,
        better: list[int],
        better_score: FloatArray,
        worse: list[int],
        worse_score: FloatArray,
        min_gap: float,
    ) -> None:
        self.better = better
        rising = np.argsort(worse_score[worse], kind="stable")
        self.worse = [worse[place] for place in rising.tolist()]
        scores = worse_score[self.worse]
        widths = [_below(scores, float(better_score[trajectory]), min_gap) for trajectory in better]
        self.ends = np.cumsum(np.array(widths, dtype=np.int64))
        self.pairs = int(self.ends[-1]) if widths else 0
        self.looked_at = 0

    def order(self, generator: np.random.Generator, drawn: bool) -> Iterator[int]:
        """Every number once: in order, or drawn at random one after the other."""
        if not drawn:
            yield from range(self.pairs)
            return
        # Fisher and Yates' shuffle, of which only the places that were touched are kept.
        moved: dict[int, int] = {}
        for place in range(self.pairs):
            drawn_place = int(generator.integers(place, self.pairs))
            yield moved.get(drawn_place, drawn_place)
            moved[drawn_place] = moved.pop(place, place)

    def pair(self, number: int) -> tuple[int, int]:
        """``(better, worse)`` of one pair."""
        row = int(np.searchsorted(self.ends, number, side="right"))
        before = int(self.ends[row - 1]) if row else 0
        return self.better[row], self.worse[number - before]


def _below(rising: FloatArray, score: float, min_gap: float) -> int:
    """How many of these scores are lower by more than ``min_gap`` (and lower at all)."""
    low, high = 0, len(rising)
    while low < high:
        middle = (low + high) // 2
        gap = score - float(rising[middle])
        if gap > max(min_gap, 0.0):
            low = middle + 1
        else:
            high = middle
    return low
