"""Leaves at which several trajectories end: where a mean over trajectories is one.

Under noise the highest mean belongs most often to a leaf that was walked once and was lucky. Led to
leaves that were walked several times, e* goes by what an average can say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tratree_cli.trees.columns import BoolArray
from tratree_cli.trees.forest import Forest


@dataclass(frozen=True)
class WalkedLeaves:
    """``ending[N]``: enough trajectories end at the node; ``through[N]``: there or further down."""

    through: BoolArray
    ending: BoolArray

    @classmethod
    def of(cls, forest: Forest, walks: int) -> WalkedLeaves:
        """Where at least ``walks`` trajectories end."""
        ending = np.greater_equal(forest.endings, walks)
        columns = forest.columns
        reaching = columns.counted & ending[forest.end_node]
        through = np.zeros(len(forest), dtype=np.bool_)
        through[forest.roots[columns.task[reaching]]] = True
        through[forest.step_node[np.repeat(reaching, columns.lengths)]] = True
        return cls(through, ending)
