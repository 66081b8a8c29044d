"""From easy to hard: the order of rows that ``dpo.curriculum`` and ``train.curriculum`` ask for.

HPL (arXiv 2510.03253) orders preferences along two axes, the reward gap between the two sides and
the length of what is compared. Here either of them orders the rows of every pass; rows that are
equally easy are shuffled by the seed, so the order follows from rows, seed and pass alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tratree_cli.training.data import PairRow, SFTRow

import torch  # isort: skip  (after the libraries)

GAP, LENGTH = "gap", "length"


def difficulty(rows: Sequence[SFTRow] | Sequence[PairRow], curriculum: str) -> list[float]:
    """How hard each row is: the negative gap of a pair, or the number of scored tokens."""
    if curriculum == GAP:
        return [-getattr(row, "gap", 0.0) for row in rows]
    return [float(row.scored) for row in rows]


def same_everywhere(rows: Sequence[SFTRow] | Sequence[PairRow], curriculum: str) -> str:
    """A sentence where the curriculum orders nothing, as all rows are equally hard."""
    if not curriculum or len(rows) < 2 or len(set(difficulty(rows, curriculum))) > 1:
        return ""
    what = "gap between their values" if curriculum == GAP else "number of the agent's tokens"
    return (
        f"all {len(rows)} rows have the same {what}, so the curriculum '{curriculum}' leaves them "
        "in the shuffled order"
    )


def easy_first(levels: Sequence[float], seed: int, epoch: int) -> list[int]:
    """Row numbers of one pass by rising ``levels`` of difficulty, equal ones shuffled."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shuffled = torch.randperm(len(levels), generator=generator).tolist()
    return sorted(shuffled, key=lambda row: levels[row])


class RowsByDifficulty(torch.utils.data.Sampler[int]):
    """``easy_first`` as the sampler of a trainer."""

    def __init__(self, levels: Sequence[float], seed: int) -> None:
        self.levels = levels
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.levels)

    def __iter__(self) -> Iterator[int]:
        yield from easy_first(self.levels, self.seed, self.epoch)
