"""The tokens that the NLL term of preference training is taken over (``dpo.nll_on``).

``continuation`` is what the preference scores of the chosen side, ``turn`` only its first turn, and
``path`` every agent's token of the chosen trajectory, from its beginning to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tratree_cli.formats.pairs import PairMessages
from tratree_cli.models.masks import encode_conversation
from tratree_cli.sections import CONTINUATION
from tratree_cli.training.data import PairRow
from tratree_cli.training.lengths import LengthPolicy, without_exchanges


def with_nll_mask(
    tokenizer: Any,
    pairs: Sequence[PairMessages],
    rows: Sequence[PairRow],
    nll_on: str,
    length: LengthPolicy | None = None,
) -> list[PairRow]:
    """The rows of ``pairs`` with ``nll_mask`` filled in; as they are for the continuation.

    For the path, what follows a continuation that was cut is appended to it, unscored by the
    preference, where the row then still fits (``length``).
    """
    if nll_on == CONTINUATION:
        return list(rows)
    if nll_on == "turn":
        return [replace(row, nll_mask=_first_turn(row)) for row in rows]
    policy = length or LengthPolicy()
    by_identity = {pair.identity: pair for pair in pairs}
    return [_on_path(tokenizer, by_identity[row.identity], row, policy) for row in rows]


def _first_turn(row: PairRow) -> list[int]:
    """The continuation begins with it, and an observation that is not scored ends it."""
    end = row.chosen_mask.index(0) if 0 in row.chosen_mask else len(row.chosen_mask)
    return [0] * len(row.prompt_ids) + [1] * end + [0] * (len(row.chosen_ids) - end)


def _on_path(tokenizer: Any, pair: PairMessages, row: PairRow, length: LengthPolicy) -> PairRow:
    prompt = without_exchanges(pair.prompt, pair.prefix, row.removed)
    # The rest is the preferred trajectory's; sides that were exchanged since have none.
    chosen, rest = (pair.rejected, ()) if row.swapped else (pair.chosen, pair.rest)
    held = row.sequences[0]
    encoded = encode_conversation(tokenizer, [*prompt, *chosen, *rest], context=pair.prefix)
    if not (length.fits(len(encoded.input_ids)) and encoded.input_ids[: len(held)] == held):
        encoded = encode_conversation(tokenizer, [*prompt, *chosen], context=pair.prefix)
    appended = encoded.input_ids[len(held) :]
    return replace(
        row,
        chosen_ids=row.chosen_ids + appended,
        chosen_mask=row.chosen_mask + [0] * len(appended),
        nll_mask=encoded.agent_mask,
    )
