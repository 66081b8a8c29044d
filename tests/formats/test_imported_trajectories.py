"""What is read of other programs' trajectories, field by field, and how the rest is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.trees.making import SHOP
from tratree_cli.errors import InputError
from tratree_cli.formats.exporting import export_rollouts, write_export
from tratree_cli.formats.importing import import_trajectories, split_prompt
from tratree_cli.formats.record_files import RecordError, records
from tratree_cli.formats.rollouts import Trajectory

ASK = {"role": "user", "content": "find a mug"}
OUTPUT = "Action: search[mug]"


def lines(path: Path, *written: object) -> Path:
    path.write_bytes(b"\n".join(orjson.dumps(record) for record in written))
    return path


def test_an_imported_trajectory_is_known_in_every_field(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "a.jsonl",
        {"task": "mug", "score": 0.5, "messages": [ASK, {"role": "assistant", "content": OUTPUT}]},
        {
            "task": "mug", "score": 0.25, "success": True, "end": "done", "scores": [0.75],
            "messages": [ASK, {"role": "assistant", "content": "I give up"}],
        },
    )  # fmt: skip
    read = import_trajectories(path, "jsonl", split="dev").rollouts
    common: dict[str, Any] = {
        "task": "mug", "setting": 0, "source": 0, "seed": 0,
        "instruction": 0, "observations": (0,), "thoughts": (-1,),
    }  # fmt: skip
    assert read.texts.texts == ["find a mug", OUTPUT, "search[mug]", "I give up"]
    assert read.trajectories == [
        Trajectory(
            **common, sample=0, outputs=(1,), actions=(2,), scores=(0.5,), valid=(True,),
            score=0.5, success=False, end="done",
        ),
        Trajectory(
            **common, sample=1, outputs=(3,), actions=(-1,), scores=(0.75,), valid=(False,),
            score=0.25, success=True, end="done",
        ),
    ]  # fmt: skip
    assert read.settings == [{"imported": "jsonl"}]
    assert (read.sources, read.split, read.prompt) == (["import:a.jsonl"], "dev", {})


@pytest.mark.parametrize(
    ("roles", "number", "wanted"),
    [("a", 1, "user"), ("uu", 2, "assistant"), ("uauu", 4, "assistant"), ("uaa", 3, "user")],
)
def test_turns_out_of_order_are_named_by_number(
    roles: str, number: int, wanted: str, tmp_path: Path
) -> None:
    speaker = {"u": "user", "a": "assistant"}
    messages = [{"role": speaker[role], "content": "go"} for role in roles]
    path = lines(tmp_path / "a.jsonl", {"task": "t", "score": 1, "messages": messages})
    with pytest.raises(InputError, match=f"turn {number} is by the .*, not the {wanted}"):
        import_trajectories(path, "jsonl")


def test_skipped_records_are_counted_by_reason_and_named_if_none_is_left(tmp_path: Path) -> None:
    good = {"task": "t", "score": 1, "messages": [ASK, {"role": "assistant", "content": "go"}]}
    bad = {**good, "score": 2}
    path = lines(tmp_path / "a.jsonl", good, bad, bad, 7)
    read = import_trajectories(path, "jsonl", on_error="skip")
    assert read.skipped == {
        "field 'score' is 2, not a number in [0, 1]": 2,
        "the record is no JSON object": 1,
    }
    with pytest.raises(InputError, match=r"no usable jsonl record \(2 skipped\)"):
        import_trajectories(lines(tmp_path / "b.jsonl", bad, 7), "jsonl", on_error="skip")


def test_fields_without_a_place_are_counted_in_records_and_in_turns_of_either_layout(
    tmp_path: Path,
) -> None:
    spoken = {"role": "assistant", "content": "Action: go", "thinking": "hm", "tool_calls": []}
    record = {"task": "t", "score": 1, "messages": [ASK, spoken], "tools": ["hammer"]}
    read = import_trajectories(lines(tmp_path / "a.jsonl", record, record), "jsonl")
    assert read.dropped == {"tools": 2, "thinking": 2}
    turns = [
        {"from": "human", "value": "find a mug"},
        {"from": "gpt", "value": "Action: go", "thinking": "hm"},
    ]
    record = {"id": "t", "score": 1, "conversations": turns, "functions": ["hammer"]}
    for form in ("eto", "sharegpt"):
        read = import_trajectories(lines(tmp_path / "b.jsonl", record), form)
        assert read.dropped == {"functions": 1, "thinking": 1}


@pytest.mark.parametrize("scores", [["x"], [0.5, None], 0.5, {"a": 1}, "0.5", None])
def test_scores_that_are_no_list_of_numbers_are_refused(scores: object, tmp_path: Path) -> None:
    record = {"task": "t", "score": 1, "messages": [ASK, {"role": "assistant", "content": "go"}]}
    path = lines(tmp_path / "a.jsonl", {**record, "scores": scores})
    with pytest.raises(InputError, match="'scores' is no list of numbers"):
        import_trajectories(path, "jsonl")


def test_places_are_lines_of_a_file_and_records_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n1\n\n  \n2\nx\n")
    found = list(records(tmp_path / "a.jsonl"))
    assert [place for place, _ in found] == ["line 2", "line 5", "line 6"]
    assert isinstance(found[-1][1], RecordError)
    (tmp_path / "a.json").write_bytes(b"[1,\n2]")
    assert list(records(tmp_path / "a.json")) == [("record 1", 1), ("record 2", 2)]
    (tmp_path / "b.json").write_bytes(b"[1,\n2")
    with pytest.raises(InputError, match="line 2 is not JSON"):
        list(records(tmp_path / "b.json"))


@pytest.mark.parametrize(
    ("front", "kept"),
    [
        ([], 0),
        ([("user", "Rules."), ("assistant", "OK")], 2),
        ([("user", "Rules."), ("assistant", " OK. ")], 2),
        ([("system", "Be brief."), ("system", "And kind.")], 2),
        ([("system", "Be brief."), ("user", "Rules."), ("assistant", "OK")], 3),
        ([("user", "Rules."), ("assistant", "OK then")], 0),
    ],
)
def test_the_prompt_in_front_is_system_messages_and_what_is_answered_by_ok(
    front: list[tuple[str, str]], kept: int
) -> None:
    before = [{"role": role, "content": text} for role, text in front]
    episode = [ASK, {"role": "assistant", "content": "go"}]
    prompt, turns = split_prompt([*before, *episode])
    assert prompt == before[:kept]
    assert turns == [*before[kept:], *episode]


def test_exported_records_are_numbered_and_a_list_is_indented(tmp_path: Path) -> None:
    made = list(export_rollouts(SHOP, "eto"))
    assert [record["id"] for record in made[:2]] == ["mug_0", "mug_1"]
    assert write_export(made, tmp_path / "a.json", "eto") == len(made)
    text = (tmp_path / "a.json").read_text("utf-8")
    assert text == json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    assert write_export(made, tmp_path / "a.jsonl", "sharegpt") == len(made)
    assert len((tmp_path / "a.jsonl").read_bytes().splitlines()) == len(made)
