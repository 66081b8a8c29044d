"""Whether a training is computed by trees: what the rows share, weighed against the mode.

The answer follows from the rows and the parameters alone, so the same command always trains in the
same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tratree_cli.training.tree_packing.scorer import WORTH_IT
from tratree_cli.training.tree_packing.trie import Sharing, build_tries


class TreeRow(Protocol):
    """A row of training as far as packing is concerned."""

    @property
    def tree(self) -> str: ...
    @property
    def sequences(self) -> tuple[list[int], ...]: ...


def sharing_in_batches(rows: Sequence[TreeRow], batch: int) -> Sharing:
    """What rows of one tree share where ``batch`` of them meet, trees side by side."""
    order = sorted(range(len(rows)), key=lambda number: rows[number].tree)
    flat = unique = 0
    for start in range(0, len(order), batch):
        sequences = [s for number in order[start : start + batch] for s in rows[number].sequences]
        flat += sum(map(len, sequences))
        unique += sum(map(len, build_tries(sequences)))
    return Sharing(flat, unique)


def packs(mode: str, rows: Sequence[TreeRow], batch: int) -> bool:
    """Whether rows are packed: ``on``, ``off``, or ``auto`` (where enough is shared)."""
    if mode == "auto":
        return sharing_in_batches(rows, batch).ratio >= WORTH_IT
    return mode == "on"
