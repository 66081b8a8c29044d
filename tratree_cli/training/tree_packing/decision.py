"""Whether a training is computed by trees: what the rows share, weighed against the mode.

The answer follows from the rows, the parameters and the model's configuration alone, so the same
command always trains in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol

from tratree_cli.training.launch import SHARDED, STRATEGY
from tratree_cli.training.params import Sharing, TrainingParams
from tratree_cli.training.tree_packing.scorer import WORTH_IT, given_up
from tratree_cli.training.tree_packing.support import why_not_packed
from tratree_cli.training.tree_packing.trie import build_tries

OURS = ("auto", "sdpa")
"""``attention`` as ``auto`` may replace it: another was asked for by its name."""


class TreeRow(Protocol):
    """A row of training as far as packing is concerned."""

    @property
    def tree(self) -> str: ...
    @property
    def sequences(self) -> tuple[list[int], ...]: ...


@dataclass(frozen=True)
class Decision:
    """``sharing`` of one pass over the rows where they are packed, else None.

    ``remark`` is a sentence where packing was wanted and cannot be.
    """

    sharing: Sharing | None = None
    remark: str = ""

    def __bool__(self) -> bool:
        return self.sharing is not None


def sharing_in_batches(rows: Sequence[TreeRow], batch: int) -> Sharing:
    """What rows of one tree share where ``batch`` of them meet, trees side by side."""
    order = sorted(range(len(rows)), key=lambda number: rows[number].tree)
    flat = unique = 0
    for start in range(0, len(order), batch):
        sequences = [s for number in order[start : start + batch] for s in rows[number].sequences]
        flat += sum(map(len, sequences))
        unique += _distinct(sequences)
    return Sharing(flat, unique)


def repeated_by_cuts(rows: Sequence[TreeRow], batch: int) -> int:
    """Tokens that are computed again because rows of one tree meet in several batches."""
    order = sorted(range(len(rows)), key=lambda number: rows[number].tree)
    parts: dict[str, dict[int, list[list[int]]]] = {}
    for place, number in enumerate(order):
        part = parts.setdefault(rows[number].tree, {}).setdefault(place // batch, [])
        part += rows[number].sequences
    return sum(
        sum(_distinct(part) for part in cut.values()) - _distinct(chain(*cut.values()))
        for cut in parts.values()
        if len(cut) > 1
    )


def _distinct(sequences: Iterable[list[int]]) -> int:
    return sum(map(len, build_tries(list(sequences))))


def decide(config: TrainingParams, rows: Sequence[TreeRow], model: Any) -> Decision:
    """Whether ``model`` trains on ``rows`` packed: ``on``, ``off``, or ``auto``.

    ``auto`` packs where enough is shared, unless an attention implementation was asked for, or
    dropout, which rows that are computed once would share.
    """
    if config.tree_packing == "off":
        return Decision()
    dropout = config.lora is not None and config.lora.dropout > 0
    if config.tree_packing == "auto" and (dropout or config.attention not in OURS):
        return Decision()
    # Under a curriculum rows of a tree meet by chance alone.
    sharing = sharing_in_batches(rows, 1 if config.curriculum else config.batch_size)
    if config.tree_packing == "auto" and sharing.ratio < WORTH_IT:
        return Decision()
    reason = _why_not(model)
    if reason:
        return Decision(remark=given_up(reason))
    return Decision(replace(sharing, repeated=repeated_by_cuts(rows, config.batch_size)))


def _why_not(model: Any) -> str:
    strategy = os.environ.get(STRATEGY, "")
    if strategy in SHARDED:
        return f"its weights are cut into pieces ({strategy})"
    return why_not_packed(model)
