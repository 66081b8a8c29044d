"""Trajectories of others come in checked; pairs and paths go out as others read them."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.trees.making import SHOP
from tratree_cli.errors import InputError
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.exporting import (
    export_pairs,
    export_paths,
    export_rollouts,
    write_export,
)
from tratree_cli.formats.importing import import_trajectories
from tratree_cli.formats.importing_pairs import import_pairs
from tratree_cli.formats.pairs import render_pairs
from tratree_cli.formats.paths import render_paths
from tratree_cli.formats.rollouts import conversation
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.divergence_pairs import mine
from tratree_cli.trees.search.api import search

GOOD = {
    "task": "t",
    "messages": [
        {"role": "user", "content": "see"},
        {"role": "assistant", "content": "Thought: hm\nAction: go\nAction: twice"},
    ],
    "score": 0.5,
}


def lines(path: Path, *records: object) -> Path:
    path.write_bytes(b"\n".join(orjson.dumps(record) for record in records))
    return path


def test_what_is_exported_for_eto_is_imported_the_same(tmp_path: Path) -> None:
    path = tmp_path / "eto.json"
    write_export(export_rollouts(SHOP, "eto"), path, "eto")
    found = import_trajectories(path, "eto", on_error="skip")
    assert found.skipped == {"field 'score' is missing (rollouts need one in [0, 1])": 1}
    kept = [t for t in SHOP.trajectories if t.score is not None]
    back = found.rollouts
    assert back.prompt == SHOP.prompt
    for before, after in zip(kept, back.trajectories, strict=True):
        assert conversation(SHOP, before) == conversation(back, after)
        assert (before.score, before.success, before.task) == (
            after.score,
            after.success,
            after.task,
        )


def test_the_action_is_everything_after_the_first_mark(tmp_path: Path) -> None:
    rollouts = import_trajectories(lines(tmp_path / "a.jsonl", GOOD), "jsonl").rollouts
    (trajectory,) = rollouts.trajectories
    assert rollouts.texts[trajectory.actions[0]] == "go\nAction: twice"
    assert rollouts.texts[trajectory.thoughts[0]] == "hm"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": 3}, "'score' is 3"),
        ({"score": None}, "'score' is missing"),
        ({"task": None}, "'task' is missing"),
        ({"messages": []}, "'messages'"),
        ({"messages": [{"role": "alien", "content": "x"}]}, r"messages\[0\].role"),
        ({"messages": [{"role": "user", "content": 4}]}, r"messages\[0\].content"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "alternate"),
        ({"success": "yes"}, "'success'"),
        ({"end": "bored"}, "'end'"),
    ],
)
def test_a_bad_record_is_named_by_file_line_and_field(
    tmp_path: Path, change: dict, words: str
) -> None:
    path = lines(tmp_path / "a.jsonl", GOOD, {**GOOD, **change})
    with pytest.raises(InputError, match=f"a.jsonl line 2: .*{words}"):
        import_trajectories(path, "jsonl")
    found = import_trajectories(path, "jsonl", on_error="skip")
    assert len(found.rollouts.trajectories) == 1 and sum(found.skipped.values()) == 1


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(orjson.dumps(GOOD) + b"\n{oops\n")
    with pytest.raises(InputError, match="line 2"):
        import_trajectories(path, "jsonl")


def test_a_demonstration_without_a_score_is_a_success(tmp_path: Path) -> None:
    record = {
        "id": 7,
        "conversations": [
            {"from": "human", "value": "see"},
            {"from": "gpt", "value": "Action: go"},
        ],
    }
    path = lines(tmp_path / "demos.json", record)
    (demo,) = import_trajectories(path, "sharegpt", kind="demos").rollouts.trajectories
    assert (demo.task, demo.score, demo.success, demo.end) == ("7", 1.0, True, "done")


def test_pairs_and_paths_leave_in_the_layouts_of_others(tmp_path: Path) -> None:
    forest = build_forest(columns_from_rollouts(SHOP))
    pairs = list(render_pairs(mine(forest), SHOP))
    trl = next(export_pairs(pairs, "trl"))
    assert set(trl) == {"prompt", "chosen", "rejected"} and trl["chosen"] == pairs[0].chosen
    eto = next(export_pairs(pairs, "eto"))
    assert eto["prompt"][0]["from"] == "human" and eto["chosen"][0]["from"] == "gpt"
    paths, _ = render_paths(search(forest), SHOP)
    assert next(export_paths(paths, "trl")) == {"messages": paths[0].messages}
    out = tmp_path / "paths.jsonl"
    assert write_export(export_paths(paths, "sharegpt"), out, "sharegpt") == 2
    assert len(out.read_bytes().splitlines()) == 2


def test_unknown_formats_name_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'trl'"):
        next(export_pairs([], "trll"))
    with pytest.raises(InputError, match="did you mean 'sharegpt'"):
        import_trajectories(Path("x"), "sharegtp")


def test_a_prompt_in_front_of_an_imported_pair_is_no_part_of_the_episode(tmp_path: Path) -> None:
    prompt = [
        {"role": "user", "content": "You are a shopper."},
        {"role": "assistant", "content": "OK."},
        {"role": "user", "content": "Instruction: find a shirt"},
        {"role": "assistant", "content": "Action: search[shirt]"},
        {"role": "user", "content": "Page 1"},
    ]
    sides = {
        side: [{"role": "assistant", "content": f"Action: {side}"}]
        for side in ("chosen", "rejected")
    }
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(orjson.dumps({"prompt": prompt, **sides}))
    (pair,) = import_pairs(path).pairs
    assert (pair.step, pair.prefix) == (1, 2)


def test_calls_of_tools_are_dropped_and_counted(tmp_path: Path) -> None:
    user, agent = GOOD["messages"]  # type: ignore[misc]
    calling = {**agent, "tool_calls": [{"function": {"name": "go"}}]}  # type: ignore[dict-item]
    records = [{**GOOD, "messages": [user, calling], "tools": [{"name": "go"}]}, GOOD]
    found = import_trajectories(lines(tmp_path / "calls.jsonl", *records), "jsonl")
    assert found.dropped == {"tools": 1, "tool_calls": 1}
