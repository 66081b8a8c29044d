"""One line each: SFT and DPO on files of one's own, and what a bad file is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.command_line import QUICK, Folder


@pytest.fixture
def tratree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    return Folder(tmp_path, monkeypatch)


def turns(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    names = {"user": "human", "assistant": "gpt"}
    return [{"from": names[m["role"]], "value": m["content"]} for m in messages]


def test_three_layouts_of_the_same_conversations_train_the_same_model(
    tratree: Folder, policy: Path, conversations: Any
) -> None:
    tratree.write("messages.jsonl", ({"messages": c} for c in conversations))
    tratree.write("sharegpt.jsonl", ({"id": "a", "conversations": turns(c)} for c in conversations))
    tratree.write(
        "eto.jsonl",
        ({"conversations": turns(c), "meta": {"task_id": 3, "reward": 1.0}} for c in conversations),
    )
    made = {
        name: tratree("sft", "--demos", f"{name}.jsonl", "--model", str(policy), *QUICK)
        for name in ("messages", "sharegpt", "eto")
    }
    assert {answer.code for answer in made.values()} == {0}, made["messages"].err
    assert len({answer.out for answer in made.values()}) == 1


def test_the_key_is_the_files_content_not_its_name(
    tratree: Folder, policy: Path, conversations: Any
) -> None:
    words = ("--model", str(policy), *QUICK)
    tratree.write("a.jsonl", ({"messages": c} for c in conversations))
    first = tratree("sft", "--demos", "a.jsonl", *words)
    (tratree.path / "a.jsonl").rename(tratree.path / "b.jsonl")
    again = tratree("sft", "--demos", "b.jsonl", *words)
    assert again.out == first.out
    assert "cached" in again.err and "✓" not in again.err
    tratree.write("b.jsonl", ({"messages": c} for c in conversations[:-1]))
    assert "SFT weak · loss" in tratree("sft", "--demos", "b.jsonl", *words).err


def test_dpo_on_ones_own_pairs_starts_from_the_base_model_and_stays_near_it(
    tratree: Folder, policy: Path, pair_documents: Any
) -> None:
    tratree.write("pairs.jsonl", pair_documents)
    made = tratree(
        "train-strong", "--pairs", "pairs.jsonl", "--model", str(policy), *QUICK, "--json"
    )
    assert made.code == 0, made.err
    assert made.json["summary"]["pairs"] == 8
    assert made.json["summary"]["initial_margin"] == 0.0
    # Neither demonstrations nor an exploration were made for it.
    kinds = {line["kind"] for line in tratree("store", "ls", "--json").lines}
    assert kinds == {"pairs", "model"}


def test_pairs_may_be_whole_conversations_or_texts(
    tratree: Folder, policy: Path, pair_documents: Any
) -> None:
    whole = [
        {side: pair["prompt"] + pair[side] for side in ("chosen", "rejected")}
        for pair in pair_documents
    ]
    tratree.write("apart.jsonl", pair_documents)
    tratree.write("whole.jsonl", whole)
    tratree.write("texts.jsonl", [{"prompt": "find", "chosen": "Action: a", "rejected": "b"}])
    same = [
        tratree("train-strong", "--pairs", f"{name}.jsonl", "--model", str(policy), *QUICK)
        for name in ("apart", "whole", "texts")
    ]
    assert [answer.code for answer in same] == [0, 0, 0], same[1].err
    assert same[0].out == same[1].out != same[2].out


def test_imported_pairs_are_remembered_as_ones_own(
    tratree: Folder, policy: Path, pair_documents: Any
) -> None:
    tratree.write("pairs.jsonl", pair_documents)
    assert tratree("import", "pairs.jsonl", "--as", "pairs").code == 0
    plan = tratree("train-strong", "pairs@latest", "--model", str(policy), "-n", "--json")
    assert [line["label"] for line in plan.lines] == ["strong model, dpo"]
    wrong = tratree("train-strong", "--pairs", "pairs.jsonl", "--method", "mcts")
    wrong.refused("method 'mcts' trains on paths, not on pairs")


USER = {"role": "user", "content": "find a shirt"}
AGENT = {"role": "assistant", "content": "Action: search[shirt]"}
GOOD = {"messages": [USER, AGENT]}


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], ["bad.jsonl is empty"]),
        ([GOOD, "{"], ["bad.jsonl line 2", "not JSON"]),
        (["[1]"], ["bad.jsonl record 1", "neither a field 'messages'"]),
        ([{"text": "x"}], ["line 1", "neither a field 'messages'"]),
        (
            [GOOD, {"messages": [USER, {"role": "bot", "content": ""}]}],
            ["line 2", "messages[1].role"],
        ),
        ([GOOD, {"messages": [USER, {"role": "assistant"}]}], ["line 2", "messages[1].content"]),
        ([{"messages": [AGENT, USER]}], ["line 1", "turn 1 is by the assistant"]),
        ([{**GOOD, "score": 7}], ["line 1", "field 'score' is 7"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_file_of_conversations_is_named_with_line_and_field(
    tratree: Folder, policy: Path, records: list[Any], said: list[str]
) -> None:
    tratree.write("bad.jsonl", records)
    tratree("sft", "--demos", "bad.jsonl", "--model", str(policy)).refused(*said)


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], ["bad.jsonl holds no preference pair", "nothing to train on"]),
        (["{"], ["line 1", "not JSON"]),
        ([{"prompt": [USER], "chosen": [AGENT]}], ["line 1", "field 'rejected' is missing"]),
        ([{"prompt": [USER], "chosen": [AGENT], "rejected": [AGENT]}], ["say the same"]),
        ([{"chosen": [AGENT], "rejected": [USER]}], ["line 1", "field 'prompt' is missing"]),
        (
            [{"prompt": [USER], "chosen": [USER], "rejected": [AGENT]}],
            ["field 'chosen' does not begin with the agent's turn"],
        ),
        (
            [{"prompt": [USER], "chosen": [{"role": "x"}], "rejected": [AGENT]}],
            ["field 'chosen[0].role'"],
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_file_of_pairs_is_named_with_line_and_field(
    tratree: Folder, policy: Path, records: list[Any], said: list[str]
) -> None:
    tratree.write("bad.jsonl", records)
    tratree("train-strong", "--pairs", "bad.jsonl", "--model", str(policy)).refused(*said)


def test_a_file_that_is_not_there_is_named(tratree: Folder) -> None:
    tratree("sft", "--demos", "gone.jsonl").refused("--demos gone.jsonl: there is no such file")
    tratree("train-strong", "--pairs", "gone.jsonl").refused("--pairs gone.jsonl")
