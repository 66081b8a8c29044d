"""What is shortened and by how much, counted by hand, and what rows say of themselves."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from tests.tiny_models import CONVERSATION, make_tokenizer
from tratree_cli.errors import InputError
from tratree_cli.formats.pairs import PairMessages
from tratree_cli.training.data import (
    PairRow,
    SFTRow,
    dataset_fingerprint,
    pair_rows,
    sft_rows,
    tree_of,
)
from tratree_cli.training.lengths import (
    LengthPolicy,
    LengthReport,
    all_fit,
    removable_exchanges,
    without_exchanges,
)


@pytest.fixture(scope="module")
def qwen() -> Any:
    return make_tokenizer("qwen2.5")


def roles(letters: str) -> list[dict[str, str]]:
    """A conversation of system, user and agent, each message with its own number."""
    names = {"s": "system", "u": "user", "a": "assistant"}
    return [{"role": names[x], "content": f"{x}{n}"} for n, x in enumerate(letters)]


def words(messages: Any) -> list[str]:
    return [message["content"] for message in messages]


@pytest.mark.parametrize(
    ("letters", "prefix", "removable", "after_one"),
    [
        ("ua", 0, 0, None),
        ("uau", 0, 0, None),
        ("uaua", 0, 0, None),
        ("uauau", 0, 1, ["u0", "a1", "u4"]),
        ("uauaua", 0, 1, ["u0", "a1", "u4", "a5"]),
        ("uauauau", 0, 2, ["u0", "a1", "u4", "a5", "u6"]),
        ("suauau", 0, 1, ["s0", "u1", "a2", "u5"]),
        ("suauau", 1, 1, ["s0", "u1", "a2", "u5"]),
        ("uauauau", 2, 1, ["u0", "a1", "u2", "a3", "u6"]),
        ("uauauauau", 2, 2, ["u0", "a1", "u2", "a3", "u6", "a7", "u8"]),
        # A prefix that ends with the user's words goes on with the agent's.
        ("uauau", 1, 1, ["u0", "a1", "u4"]),
        ("suauauau", 3, 1, ["s0", "u1", "a2", "u3", "a4", "u7"]),
    ],
)
def test_whole_exchanges_go_after_the_prompt_and_the_first_of_them(
    letters: str, prefix: int, removable: int, after_one: list[str] | None
) -> None:
    messages = roles(letters)
    assert removable_exchanges(messages, prefix) == removable
    assert without_exchanges(messages, prefix, 0) == messages
    if after_one is not None:
        assert words(without_exchanges(messages, prefix, 1)) == after_one


def test_a_row_may_be_as_long_as_the_limit_and_no_longer(qwen: Any) -> None:
    (row,), _ = sft_rows(qwen, [CONVERSATION])
    (again,), report = sft_rows(qwen, [CONVERSATION], LengthPolicy(row.length))
    assert again == row
    assert (report.rows, report.shortened, report.dropped, report.silent) == (1, 0, 0, 0)
    with pytest.raises(InputError, match=f"has {row.length} tokens, more than {row.length - 1}"):
        sft_rows(qwen, [CONVERSATION], LengthPolicy(row.length - 1))


def test_a_conversation_that_is_too_long_without_all_that_may_go_is_dropped(qwen: Any) -> None:
    """The first exchange and the last turns stay, even where the row would fit without them."""
    messages = roles("uauaua")
    (opening,), _ = sft_rows(qwen, [messages[:2]])
    (least,), _ = sft_rows(qwen, [without_exchanges(messages, 0, 1)])
    good = [messages[:2], messages]
    _, kept = sft_rows(qwen, good, LengthPolicy(least.length, "keep-last-turns"))
    assert (kept.rows, kept.shortened, kept.dropped) == (2, 1, 0)
    _, report = sft_rows(qwen, good, LengthPolicy(least.length - 1, "keep-last-turns"))
    assert opening.length <= least.length - 1
    assert (report.rows, report.shortened, report.dropped) == (1, 0, 1)


def test_a_row_has_to_fit_every_model() -> None:
    drop, error = LengthPolicy(5, "drop"), LengthPolicy(5)
    assert all_fit([5, 5], [drop, error], "a row")
    assert not all_fit([6, 5], [drop, error], "a row")
    with pytest.raises(InputError, match="a row has 6 tokens"):
        all_fit([6, 6], [drop, error], "a row")


def test_a_report_adds_up_what_is_left() -> None:
    report = LengthReport()
    assert set(asdict(report).values()) == {0}
    assert report.scored_share == 0.0
    report = report.with_row(SFTRow([1, 2, 3, 4], [0, 1, 1, 1]), shortened=False)
    report = report.with_row(PairRow([1], [2], [3, 4], [1], [1, 0]), shortened=True)
    assert report == LengthReport(rows=2, shortened=1, longest=4, tokens=4 + 5, scored=3 + 2)
    assert report.scored_share == 5 / 9


def test_it_is_an_error_only_if_there_were_rows_and_none_is_left() -> None:
    LengthReport().require_rows("rows")
    LengthReport(rows=1, dropped=3).require_rows("rows")
    with pytest.raises(InputError, match=r"none of 3 rows is left: 2 are longer .* and 1 have no"):
        LengthReport(dropped=2, silent=1).require_rows("rows")


def test_rows_of_one_task_have_one_tree_whatever_was_done(qwen: Any) -> None:
    """A task is its instruction and first observation; the prompt before them is no part of it."""
    begin, other = CONVERSATION[:2], [{"role": "user", "content": "x"}, *CONVERSATION[1:2]]
    (whole, short, different), _ = sft_rows(qwen, [CONVERSATION, begin, other])
    assert whole.tree == short.tree != different.tree
    prompt = [{"role": "user", "content": "Rules."}, {"role": "assistant", "content": "OK"}]
    assert tree_of([*prompt, *CONVERSATION], 2) == tree_of(CONVERSATION, 0) == whole.tree
    assert tree_of([*prompt, *CONVERSATION], 0) == tree_of(prompt, 0) != whole.tree
    (prefixed,), _ = sft_rows(qwen, [[*prompt, *CONVERSATION]], prefix=2)
    assert prefixed.tree == whole.tree
    pair = PairMessages([*prompt, *CONVERSATION[:3]], CONVERSATION[3:], CONVERSATION[1:2], prefix=2)
    assert pair_rows(qwen, [pair])[0][0].tree == whole.tree


def test_a_row_gives_the_sequences_that_are_read() -> None:
    assert SFTRow([1, 2], [0, 1]).sequences == ([1, 2],)
    assert SFTRow([1, 2, 3], [0, 1, 1]).scored == 2
    pair = PairRow([1, 2], [3], [4, 5], [1], [1, 1])
    assert pair.sequences == ([1, 2, 3], [1, 2, 4, 5])
    assert (pair.length, pair.tokens, pair.scored) == (4, 7, 3)


def test_a_fingerprint_changes_with_any_row_and_with_their_order() -> None:
    one, other = SFTRow([1, 2], [0, 1]), SFTRow([1, 2], [1, 1])
    prints = [[one, other], [other, one], [one], [one, one], [one, replace(other, tree="t")]]
    assert len({dataset_fingerprint(rows) for rows in prints}) == len(prints)
    assert dataset_fingerprint([one, other]) == dataset_fingerprint([replace(one), other])


def test_both_sides_of_a_pair_part_where_the_agent_speaks(qwen: Any) -> None:
    """What both say alike at first belongs to the continuations and is scored in both."""
    say = [{"role": "assistant", "content": f"Action: click[{x}]"} for x in ("red", "blue")]
    (row,), report = pair_rows(qwen, [PairMessages(CONVERSATION[:1], say[:1], say[1:])])
    whole, _ = sft_rows(qwen, [[CONVERSATION[0], say[0]]])
    assert row.prompt_ids + row.chosen_ids == whole[0].input_ids
    assert [0] * len(row.prompt_ids) + row.chosen_mask == whole[0].agent_mask
    assert row.chosen_mask[0] == row.rejected_mask[0] == 1
    assert row.chosen_ids[0] == row.rejected_ids[0]
    assert row.removed == 0 and report.shortened == 0
