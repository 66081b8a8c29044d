"""Which words the NLL term is over: the first turn, the continuation, or the whole path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tratree_cli.formats.pairs import PairMessages
from tratree_cli.models.load import load_tokenizer
from tratree_cli.training.data import PairRow, pair_rows
from tratree_cli.training.lengths import LengthPolicy
from tratree_cli.training.nll_tokens import with_nll_mask


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


PROMPT = [
    turn("user", "An example"), turn("assistant", "Example answer"),
    turn("user", "find a shirt"), turn("assistant", "search"), turn("user", "Page 1"),
]  # fmt: skip
CHOSEN = [turn("assistant", "red"), turn("user", "Page 2"), turn("assistant", "buy")]
REST = [turn("user", "Page 3"), turn("assistant", "leave")]
PAIR = PairMessages(PROMPT, CHOSEN, [turn("assistant", "blue")], prefix=2, rest=REST)


@pytest.fixture(scope="module")
def row(policy: Path) -> PairRow:
    return pair_rows(load_tokenizer(policy), [PAIR])[0][0]


def words(policy: Path, row: PairRow, mask: list[int]) -> str:
    tokenizer = load_tokenizer(policy)
    scored = [token for token, mine in zip(row.sequences[0], mask, strict=True) if mine]
    return str(tokenizer.decode(scored)).replace("<|im_end|>", "|")


def masked(policy: Path, row: PairRow, where: str, length: LengthPolicy | None = None) -> PairRow:
    (found,) = with_nll_mask(load_tokenizer(policy), [PAIR], [row], where, length)
    return found


def test_the_words_of_the_term_are_those_that_are_asked_for(policy: Path, row: PairRow) -> None:
    assert masked(policy, row, "continuation") == row
    first = masked(policy, row, "turn")
    assert words(policy, first, first.nll_mask) == "red|"
    path = masked(policy, row, "path")
    assert words(policy, path, path.nll_mask) == "search|red|buy|leave|"
    preferred = [0] * len(path.prompt_ids) + path.chosen_mask
    assert words(policy, path, preferred) == "red|buy|"
    assert path.chosen_ids[: len(row.chosen_ids)] == row.chosen_ids
    assert path.rejected_ids == row.rejected_ids


def test_what_follows_is_left_out_where_it_does_not_fit(policy: Path, row: PairRow) -> None:
    short = masked(policy, row, "path", LengthPolicy(row.length))
    assert words(policy, short, short.nll_mask) == "search|red|buy|"
    assert short.chosen_ids == row.chosen_ids


def test_exchanged_sides_have_the_path_of_the_side_that_is_preferred_now(
    policy: Path, row: PairRow
) -> None:
    exchanged = replace(
        row, chosen_ids=row.rejected_ids, chosen_mask=row.rejected_mask,
        rejected_ids=row.chosen_ids, rejected_mask=row.chosen_mask, swapped=True,
    )  # fmt: skip
    path = masked(policy, exchanged, "path")
    assert words(policy, path, path.nll_mask) == "search|blue|"
