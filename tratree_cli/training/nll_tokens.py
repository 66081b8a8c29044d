"""The tokens that the NLL term of preference training is taken over (``dpo.nll_on``).

``continuation`` is what the preference scores of the chosen side, ``turn`` only its first turn, and
``path`` every agent's token of the chosen trajectory as far as the pair holds it, those before the
divergence included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tratree_cli.formats.pairs import PairMessages
from tratree_cli.models.masks import encode_conversation
from tratree_cli.sections import CONTINUATION
from tratree_cli.training.data import PairRow
from tratree_cli.training.lengths import without_exchanges


def with_nll_mask(
    tokenizer: Any, pairs: Sequence[PairMessages], rows: Sequence[PairRow], nll_on: str
) -> list[PairRow]:
    """The rows of ``pairs`` with ``nll_mask`` filled in; as they are for the continuation."""
    if nll_on == CONTINUATION:
        return list(rows)
    if nll_on == "turn":
        return [replace(row, nll_mask=_first_turn(row)) for row in rows]
    by_identity = {pair.identity: pair for pair in pairs}
    return [replace(row, nll_mask=_path(tokenizer, by_identity[row.identity], row)) for row in rows]


def _first_turn(row: PairRow) -> list[int]:
    """The continuation begins with it, and an observation that is not scored ends it."""
    end = row.chosen_mask.index(0) if 0 in row.chosen_mask else len(row.chosen_mask)
    return [0] * len(row.prompt_ids) + [1] * end


def _path(tokenizer: Any, pair: PairMessages, row: PairRow) -> list[int]:
    prompt = without_exchanges(pair.prompt, pair.prefix, row.removed)
    chosen = pair.rejected if row.swapped else pair.chosen
    encoded = encode_conversation(tokenizer, [*prompt, *chosen], context=pair.prefix)
    assert encoded.input_ids == row.sequences[0], "a mask changes no token"
    return encoded.agent_mask
