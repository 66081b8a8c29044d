"""Preference pairs of other programs: what is the prompt, and what a record must hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from tratree_cli.errors import InputError
from tratree_cli.formats.importing import import_trajectories
from tratree_cli.formats.importing_pairs import import_pairs
from tratree_cli.formats.pairs import PairRecord

ASK = {"role": "user", "content": "Find a mug."}
LOOK = {"role": "assistant", "content": "Action: look"}
SEEN = {"role": "user", "content": "A mug and a cup."}
MUG = {"role": "assistant", "content": "Action: take[mug]"}
CUP = {"role": "assistant", "content": "Action: take[cup]"}


def read(folder: Path, *records: object, **options: Any) -> Any:
    path = folder / "pairs.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(record) for record in records))
    return import_pairs(path, **options)


def test_what_two_conversations_begin_with_is_the_prompt(tmp_path: Path) -> None:
    record = {"chosen": [ASK, LOOK, SEEN, MUG], "rejected": [ASK, LOOK, SEEN, CUP]}
    (pair,) = read(tmp_path, record).pairs
    assert pair.prompt == [ASK, LOOK, SEEN]
    assert (pair.chosen, pair.rejected, pair.step) == ([MUG], [CUP], 1)


def test_a_prompt_ends_with_what_the_agent_answers_even_if_its_turns_are_alike(
    tmp_path: Path,
) -> None:
    more = {"role": "user", "content": "Nothing else."}
    record = {"chosen": [ASK, LOOK, SEEN, MUG], "rejected": [ASK, LOOK, more, CUP]}
    (pair,) = read(tmp_path, record).pairs
    assert pair.prompt == [ASK], "the shared turn of the agent is part of both sides"
    assert pair.chosen == [LOOK, SEEN, MUG] and pair.rejected == [LOOK, more, CUP]
    assert pair.step == 0


def test_a_conversation_that_is_the_beginning_of_the_other_leaves_a_side_without_a_turn(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="'rejected' does not begin with the agent's turn"):
        read(tmp_path, {"chosen": [ASK, LOOK, SEEN, MUG], "rejected": [ASK, LOOK, SEEN]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": []}, "'prompt' is missing and the two sides do not begin alike"),
        ({"rejected": [MUG]}, "say the same"),
        ({"chosen": [SEEN]}, "'chosen' does not begin with the agent's turn"),
        ({"rejected": [SEEN]}, "'rejected' does not begin with the agent's turn"),
        ({"chosen": ""}, "'chosen' is missing"),
        ({"chosen": []}, "'chosen' is missing"),
        ({"rejected": 5}, "'rejected' is missing"),
        ({"chosen_score": True}, "'chosen_score' is True, not a number"),
        ({"rejected_score": "x"}, "'rejected_score' is 'x', not a number"),
    ],
)
def test_a_bad_pair_is_named_by_its_field(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    record = {"prompt": [ASK], "chosen": [MUG], "rejected": [CUP]}
    with pytest.raises(InputError, match="line 1") as told:
        read(tmp_path, {**record, **change})
    assert said in str(told.value)


def test_two_conversations_that_begin_with_different_words_are_no_pair(tmp_path: Path) -> None:
    other = {**ASK, "content": "find a cup"}
    with pytest.raises(InputError, match="do not begin alike"):
        read(tmp_path, {"chosen": [ASK, MUG], "rejected": [other, CUP]})


def test_bad_pairs_are_skipped_and_counted_by_reason(tmp_path: Path) -> None:
    good = {"prompt": [ASK], "chosen": [MUG], "rejected": [CUP]}
    same = {**good, "rejected": [MUG]}
    found = read(tmp_path, same, good, same, [1], on_error="skip")
    assert len(found.pairs) == 1
    assert sorted(found.skipped.values()) == [1, 2]
    with pytest.raises(InputError, match=r"no preference pair \(2 skipped\)"):
        read(tmp_path, same, same, on_error="skip")


def test_texts_and_single_turns_are_pairs_too(tmp_path: Path) -> None:
    plain = {"prompt": "Find a mug.", "chosen": "take[mug]", "rejected": "take[cup]"}
    turns = {"prompt": ASK, "chosen": {"from": "gpt", "value": "x"}, "rejected": CUP}
    first, second = read(tmp_path, plain, turns).pairs
    assert first.prompt == [ASK]
    assert first.chosen == [{"role": "assistant", "content": "take[mug]"}]
    assert second.chosen == [{"role": "assistant", "content": "x"}]


def test_scores_default_to_one_and_zero_and_are_kept_where_given(tmp_path: Path) -> None:
    record = {"prompt": [ASK], "chosen": [MUG], "rejected": [CUP]}
    plain, scored = read(
        tmp_path, record, {**record, "chosen_score": 0.5, "rejected_score": 0.25, "id": "t7"}
    ).pairs
    assert (plain.chosen_score, plain.rejected_score, plain.task) == (1.0, 0.0, "0")
    assert (scored.chosen_value, scored.rejected_value, scored.task) == (0.5, 0.25, "t7")
    assert (plain.chosen_visits, plain.rejected_visits) == (1, 1)
    assert (plain.node, plain.horizon) == (-1, 0)
    assert [p.chosen_trajectory for p in (plain, scored)] == [0, 1]


EPISODE = {"task": "t", "messages": [ASK, LOOK, SEEN, MUG], "score": 1.0}


def imported(folder: Path, *records: object, **options: Any) -> Any:
    path = folder / "episodes.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(record) for record in records))
    return import_trajectories(path, "jsonl", **options)


@pytest.mark.parametrize("score", [True, -0.01, 1.01, "1", [1]])
def test_a_score_outside_0_to_1_is_refused(score: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="score"):
        imported(tmp_path, {**EPISODE, "score": score})


@pytest.mark.parametrize("score", [0, 1, 0.0, 1.0])
def test_the_ends_of_the_range_are_scores(score: float, tmp_path: Path) -> None:
    (one,) = imported(tmp_path, {**EPISODE, "score": score}).rollouts.trajectories
    assert one.score == score


def test_a_record_of_nothing_but_system_messages_has_no_turn(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be brief."}
    with pytest.raises(InputError, match="no turn after the prompt"):
        imported(tmp_path, {**EPISODE, "messages": [system]})


def test_words_without_an_action_are_unparsable_and_others_are_valid(tmp_path: Path) -> None:
    mute = {"role": "assistant", "content": "I give up"}
    first = {**EPISODE, "messages": [ASK, LOOK, SEEN, mute]}
    (one,) = imported(tmp_path, first).rollouts.trajectories
    assert one.valid == (True, False)
    assert one.actions[1] == -1
    # The first text of all may be an action: its number is 0, and it is valid.
    assert one.actions[0] >= 0


def test_scores_by_step_are_kept_if_there_is_one_for_each_step(tmp_path: Path) -> None:
    kept = imported(tmp_path, {**EPISODE, "scores": [0.25, 1.0]}).rollouts.trajectories[0]
    filled = imported(tmp_path, {**EPISODE, "scores": [0.25]}).rollouts.trajectories[0]
    assert kept.scores == (0.25, 1.0)
    assert filled.scores == (1.0, 1.0)


@pytest.mark.parametrize(
    ("score", "success", "end"),
    [(1, True, "done"), (0.5, False, "done"), (0, False, "step-limit"), (None, True, "done")],
)
def test_success_and_ending_follow_from_the_score_where_they_are_not_given(
    score: float | None, success: bool, end: str, tmp_path: Path
) -> None:
    record = {**EPISODE, "score": score}
    (one,) = imported(tmp_path, record, kind="demos").rollouts.trajectories
    assert (one.success, one.end) == (success, end)


def test_an_imported_pair_is_known_in_every_field(tmp_path: Path) -> None:
    plain = {"prompt": [ASK], "chosen": [LOOK], "rejected": [CUP]}
    scored = {**plain, "task": "mug", "chosen_score": 0.75, "rejected_score": 0.5}
    first, second = read(tmp_path, plain, scored).pairs
    assert first == PairRecord(
        task="0", rule="imported", prompt=[ASK], chosen=[LOOK], rejected=[CUP],
        chosen_score=1.0, rejected_score=0.0, chosen_value=1.0, rejected_value=0.0,
        chosen_visits=1, rejected_visits=1, chosen_trajectory=0, rejected_trajectory=0,
        chosen_source="import:pairs.jsonl", rejected_source="import:pairs.jsonl",
        step=0, node=-1, horizon=0,
    )  # fmt: skip
    assert (first.basis, first.rejected_step) == ("score", -1)
    assert second == replace(
        first, task="mug", chosen_score=0.75, chosen_value=0.75, rejected_score=0.5,
        rejected_value=0.5, chosen_trajectory=1, rejected_trajectory=1,
    )  # fmt: skip


def test_the_turns_that_two_conversations_share_end_where_the_agent_speaks(tmp_path: Path) -> None:
    one, other = [ASK, LOOK, SEEN, LOOK], [ASK, LOOK, SEEN, CUP]
    (pair,) = read(tmp_path, {"chosen": one, "rejected": other}).pairs
    assert (pair.prompt, pair.chosen, pair.rejected) == (one[:3], [LOOK], [CUP])
    assert (pair.step, pair.prefix) == (1, 0)


def test_a_file_in_which_no_pair_is_good_says_how_many_were_skipped(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no preference pair \(2 skipped\)"):
        read(tmp_path, {"chosen": 1}, 7, on_error="skip")


def test_turns_that_are_alike_again_after_a_difference_are_not_shared(tmp_path: Path) -> None:
    one, other = [ASK, LOOK, SEEN, MUG], [ASK, CUP, SEEN, CUP]
    (pair,) = read(tmp_path, {"chosen": one, "rejected": other}).pairs
    assert (pair.prompt, pair.chosen, pair.rejected) == (one[:1], one[1:], other[1:])
