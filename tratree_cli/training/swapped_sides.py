"""Pairs whose sides are in random order: a control without any preference in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from tratree_cli.training.data import PairRow


def with_swapped_sides(rows: Sequence[PairRow], seed: int) -> list[PairRow]:
    """The rows with chosen and rejected exchanged in about half of them.

    Which ones follows from the seed and the pair's words alone.
    """
    return [_exchanged(row) if _drawn(row, seed) else row for row in rows]


def _drawn(row: PairRow, seed: int) -> bool:
    return hashlib.sha256(f"{seed} {row.identity}".encode()).digest()[0] % 2 == 1


def _exchanged(row: PairRow) -> PairRow:
    return replace(
        row,
        chosen_ids=row.rejected_ids,
        rejected_ids=row.chosen_ids,
        chosen_mask=row.rejected_mask,
        rejected_mask=row.chosen_mask,
        ref_chosen_logps=row.ref_rejected_logps,
        ref_rejected_logps=row.ref_chosen_logps,
        ref_chosen_turn_logps=row.ref_rejected_turn_logps,
        ref_rejected_turn_logps=row.ref_chosen_turn_logps,
        swapped=not row.swapped,
    )
