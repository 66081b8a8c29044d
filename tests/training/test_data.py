"""Rows and the length policy: nothing is cut, everything is counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.tiny_models import CONVERSATION, make_tokenizer
from tratree_cli.errors import InputError
from tratree_cli.formats.pairs import PairMessages
from tratree_cli.training.data import (
    PairRow,
    Reader,
    SFTRow,
    encode_pair,
    pair_rows,
    sft_rows,
    shared_pair_rows,
)
from tratree_cli.training.lengths import LengthPolicy


@pytest.fixture(scope="module")
def qwen() -> Any:
    return make_tokenizer("qwen2.5")


def dialogue(turns: int) -> list[dict[str, str]]:
    """``turns`` exchanges whose words name their number."""
    return [
        {"role": role, "content": f"{word} {turn}"}
        for turn in range(turns)
        for role, word in (("user", "Page"), ("assistant", "Action: click"))
    ]


def test_pairs_share_the_prompt_and_mask_the_observations_inside(qwen: Any, pairs: Any) -> None:
    rows, report = pair_rows(qwen, pairs)
    row = rows[0]
    assert qwen.decode(row.prompt_ids).endswith("<|im_start|>assistant\n")
    said = [
        qwen.decode([t for t, mine in zip(ids, mask, strict=True) if mine])
        for ids, mask in ((row.chosen_ids, row.chosen_mask), (row.rejected_ids, row.rejected_mask))
    ]
    assert said[0] == "Action: search[red shirt]<|im_end|>Action: click[red shirt]<|im_end|>"
    assert said[1] == "Action: search[blue shoes]<|im_end|>Action: click[blue shoes]<|im_end|>"
    assert report.rows == len(pairs)
    assert report.scored == sum(sum(r.chosen_mask) + sum(r.rejected_mask) for r in rows)


def test_the_agents_turns_in_a_pairs_prompt_are_not_scored(qwen: Any) -> None:
    pair = PairMessages(
        prompt=[*dialogue(1), {"role": "user", "content": "Page x"}],
        chosen=[{"role": "assistant", "content": "Action: good"}],
        rejected=[{"role": "assistant", "content": "Action: bad"}],
    )
    row = pair_rows(qwen, [pair])[0][0]
    assert "click 0" in qwen.decode(row.prompt_ids)
    assert row.chosen_mask[0] == 1
    assert sum(row.chosen_mask) == len(row.chosen_mask) - 1  # all but the break after the turn


def test_a_pair_as_it_is_has_nothing_removed_and_its_own_gap(qwen: Any) -> None:
    said = [[{"role": "assistant", "content": word}] for word in ("Action: good", "Action: bad")]
    pair = PairMessages(
        prompt=[{"role": "user", "content": "Page x"}], chosen=said[0], rejected=said[1]
    )
    row = encode_pair(qwen, pair, "pair 1")
    assert (row.removed, row.swapped, row.gap) == (0, False, pair.gap)


def test_the_default_policy_refuses_a_long_row_and_says_what_to_do(qwen: Any) -> None:
    with pytest.raises(InputError, match=r"conversation 2 has \d+ tokens, more than 60"):
        sft_rows(qwen, [dialogue(1), dialogue(6)], LengthPolicy(60))


def test_drop_counts_what_it_drops(qwen: Any) -> None:
    rows, report = sft_rows(qwen, [dialogue(1), dialogue(6)], LengthPolicy(60, "drop"))
    assert (len(rows), report.rows, report.dropped, report.shortened) == (1, 1, 1, 0)
    assert report.longest == rows[0].length <= 60
    assert report.tokens == rows[0].length
    assert report.scored_share == rows[0].scored / rows[0].length


def test_keep_last_turns_keeps_the_opening_and_the_end(qwen: Any) -> None:
    rows, report = sft_rows(qwen, [dialogue(6)], LengthPolicy(130, "keep-last-turns"))
    text = qwen.decode(rows[0].input_ids)
    assert report.shortened == 1
    assert rows[0].length <= 130
    assert "Page 0" in text and "click 0" in text and "click 5" in text
    assert "Page 1" not in text and "click 1" not in text
    kept = [turn for turn in range(6) if f"Page {turn}" in text]
    assert kept == [turn for turn in range(6) if f"click {turn}" in text]


def test_keep_last_turns_never_touches_the_prefix(qwen: Any) -> None:
    messages = dialogue(2) + dialogue(6)
    rows, _ = sft_rows(qwen, [messages], LengthPolicy(180, "keep-last-turns"), prefix=4)
    kept = qwen.decode(rows[0].input_ids)
    assert kept.count("Page 0") == 2 and kept.count("Page 1") == 1


def test_keep_last_turns_shortens_a_pairs_prompt_only(qwen: Any) -> None:
    end = [{"role": "user", "content": "Page end"}]
    pair = PairMessages(
        prompt=dialogue(6) + end,
        chosen=[{"role": "assistant", "content": "Action: good"}],
        rejected=[{"role": "assistant", "content": "Action: bad"}],
    )
    whole = pair_rows(qwen, [pair])[0][0]
    rows, report = pair_rows(qwen, [pair], LengthPolicy(150, "keep-last-turns"))
    assert report.shortened == 1
    assert rows[0].chosen_ids == whole.chosen_ids
    assert rows[0].rejected_ids == whole.rejected_ids
    assert "Page end" in qwen.decode(rows[0].prompt_ids)


def long_pair(turns: int) -> PairMessages:
    """A pair behind a prompt of three messages, an instruction and ``turns`` exchanges."""
    prefix = [
        {"role": "user", "content": "You are a shopper."},
        {"role": "assistant", "content": "OK"},
        {"role": "user", "content": "An example follows."},
        {"role": "assistant", "content": "Action: example"},
    ]
    task = [
        {"role": "user", "content": "Instruction: find a shirt"},
        {"role": "assistant", "content": "Action: first"},
    ]
    return PairMessages(
        prompt=[*prefix, *task, *dialogue(turns), {"role": "user", "content": "Page end"}],
        chosen=[{"role": "assistant", "content": "Action: good"}],
        rejected=[{"role": "assistant", "content": "Action: bad"}],
        prefix=len(prefix),
    )


def test_a_shortened_pair_keeps_prompt_instruction_and_latest_turns(qwen: Any) -> None:
    """Without the prefix's length the instruction was the first thing to go."""
    (row,), report = pair_rows(qwen, [long_pair(6)], LengthPolicy(240, "keep-last-turns"))
    words = qwen.decode(row.prompt_ids)
    assert report.shortened == 1 and row.removed > 0 and row.length <= 240
    for kept in ("You are a shopper", "An example", "find a shirt", "Action: first", "Page end"):
        assert kept in words
    assert "Page 0" not in words and "Page 5" in words


def test_two_models_read_the_same_words_of_a_shortened_pair(qwen: Any) -> None:
    """Each on its own would shorten by its own tokenizer."""
    pair = long_pair(6)
    whole, shorter = LengthPolicy(400, "keep-last-turns"), LengthPolicy(240, "keep-last-turns")
    alone = [pair_rows(qwen, [pair], length)[0][0].removed for length in (whole, shorter)]
    assert alone[0] != alone[1]
    ((first, second),), report = shared_pair_rows(
        [Reader(qwen, whole), Reader(qwen, shorter)], [pair]
    )
    assert first.prompt_ids == second.prompt_ids
    assert first.removed == second.removed == alone[1]
    assert first.identity == second.identity == pair.identity
    assert report.shortened == 1


def test_a_pair_that_one_model_cannot_read_is_dropped_for_both(qwen: Any) -> None:
    pairs = [long_pair(0), long_pair(6)]
    readers = [Reader(qwen, LengthPolicy(None, "drop")), Reader(qwen, LengthPolicy(240, "drop"))]
    rows, report = shared_pair_rows(readers, pairs)
    assert [row.identity for row, _ in rows] == [pairs[0].identity]
    assert (report.rows, report.dropped) == (1, 1)


def test_when_every_row_is_too_long_the_error_counts_them(qwen: Any, pairs: Any) -> None:
    with pytest.raises(InputError, match="none of 8 pairs is left: 8 are longer"):
        pair_rows(qwen, pairs, LengthPolicy(5, "keep-last-turns"))


def test_conversations_without_the_agents_words_are_counted_apart(qwen: Any) -> None:
    rows, report = sft_rows(qwen, [CONVERSATION, CONVERSATION[:1]])
    assert (len(rows), report.silent) == (1, 1)


def test_no_rows_are_no_error(qwen: Any) -> None:
    assert sft_rows(qwen, [])[0] == []
    assert pair_rows(qwen, [])[0] == []


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "is empty"),
        ([{"role": "robot", "content": "x"}], "role: system|user|assistant"),
        ([{"role": "user", "content": None}], "role: system|user|assistant"),
    ],
)
def test_malformed_conversations_are_named(qwen: Any, messages: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        sft_rows(qwen, [CONVERSATION, messages])
    assert "conversation 2" in str(caught.value) and said in str(caught.value)


def test_a_pair_lacking_a_side_is_named(qwen: Any, pairs: Any) -> None:
    with pytest.raises(InputError, match="pair 2 has no 'rejected'"):
        pair_rows(qwen, [pairs[0], replace(pairs[1], rejected=[])])


def test_a_continuation_that_starts_with_an_observation_is_refused(qwen: Any, pairs: Any) -> None:
    odd = replace(pairs[0], chosen=[{"role": "user", "content": "Page"}, *pairs[0].chosen])
    with pytest.raises(InputError, match="pair 1"):
        pair_rows(qwen, [odd])


def test_an_unknown_policy_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'drop'"):
        LengthPolicy(5, "dropp")


def test_rows_count_the_tokens_that_are_read() -> None:
    assert SFTRow([1, 2, 3], [0, 1, 1]).tokens == 3
    pair = PairRow([1, 2], [3], [4, 5], [1], [1, 0])
    assert (pair.tokens, pair.scored, pair.length) == (7, 2, 4)
