"""What stands in each field of a log for Inspect."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.trees.making import made_rollouts
from tratree_cli.formats.inspect_log import LogHead, write_inspect_log
from tratree_cli.formats.rollouts import Rollouts

IDENTITY = "0123456789abcdef" * 4
HEAD = LogHead(
    task="shop/train",
    model="tratree/weak",
    identity=IDENTITY,
    created=1_795_844_434.0,
    seconds=30.0,
    figures={"reward": {"mean": 0.5, "stderr": 0.25}},
    metadata={"split": "train"},
)
PROMPT = [
    {"role": "user", "content": "You are shopping."},
    {"role": "assistant", "content": "OK"},
]


def shop(**more: Any) -> Rollouts:
    """A task with two episodes, the second cut at the limit, and one that broke off."""
    made = made_rollouts(
        [
            ("mug", [("home", "search"), ("found", "!hm"), ("found", "buy")], 1.0),
            ("mug", [("home", "buy")], 0.5),
            ("tie", [("home", "!hm")], None),
        ],
        prompt=PROMPT,
    )
    one, two, broken = made.trajectories
    one = replace(one, scores=(0.0, 0.25, 1.0), valid=(True, False, True), sampled_tokens=7)
    broken = replace(broken, observations=broken.observations[:1], detail="no answer")
    return replace(made, **{"trajectories": [one, two, broken], **more})


def written(rollouts: Rollouts, folder: Path, head: LogHead = HEAD) -> dict[str, Any]:
    path = folder / "x.eval"
    assert write_inspect_log(rollouts, head, path) == len(rollouts.trajectories)
    with zipfile.ZipFile(path) as archive:
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


def test_an_episode_is_a_sample_with_its_conversation_scores_and_cost(tmp_path: Path) -> None:
    sample = written(shop(), tmp_path)["samples/mug_epoch_1.json"]
    effect = [
        {"score": 0.0, "had_effect": True},
        {"score": 0.25, "had_effect": False},
        {"score": 1.0, "had_effect": True},
    ]
    spoken = [
        ("user", "You are shopping.", "input", None),
        ("assistant", "OK", "input", None),
        ("user", "home", "input", None),
        ("assistant", "Action: search", "generate", effect[0]),
        ("user", "found", "input", None),
        ("assistant", "hm", "generate", effect[1]),
        ("user", "found", "input", None),
        ("assistant", "Action: buy", "generate", effect[2]),
        ("user", "the end", "input", None),
    ]
    assert [
        (m["role"], m["content"], m["source"], m.get("metadata")) for m in sample["messages"]
    ] == spoken
    assert [m["id"] for m in sample["messages"]] == [f"mug-1-{n}" for n in range(9)]
    assert sample["output"] == {
        "model": "tratree/weak",
        "choices": [{"message": sample["messages"][7], "stop_reason": "stop"}],
        "completion": "Action: buy",
    }
    words = "ended by done; step 2: 0.25; step 3: 1"
    assert sample["scores"] == {
        "reward": {"value": 1.0, "answer": "buy", "explanation": words},
        "success": {"value": "C", "answer": "buy"},
    }
    assert sample["metadata"] == {
        "end": "done", "steps": 3, "seed": 7, "policy": "model:weak",
        "sampling": {"temperature": 1.0, "top_p": 1.0},
    }  # fmt: skip
    assert sample["model_usage"] == {
        "tratree/weak": {"input_tokens": 0, "output_tokens": 7, "total_tokens": 7}
    }
    assert (sample["id"], sample["epoch"], sample["turn_count"]) == ("mug", 1, 3)
    assert sample["uuid"] == f"{IDENTITY[:16]}-mug-1"
    assert sample["input"] == "Instruction of mug"
    assert not {"limit", "error"} & set(sample)


def test_a_limit_is_told_and_an_episode_that_broke_off_is_an_error(tmp_path: Path) -> None:
    found = written(shop(), tmp_path)
    second, broken = found["samples/mug_epoch_2.json"], found["samples/tie_epoch_1.json"]
    assert second["limit"] == {"type": "custom", "limit": 1, "reason": "step-limit"}
    assert second["scores"]["success"] == {"value": "I", "answer": "buy"}
    assert (second["epoch"], second["model_usage"], "error" in second) == (2, {}, False)
    assert broken["error"]["message"] == "environment-error: no answer"
    assert (broken["scores"], "limit" in broken) == ({}, False)
    assert [m["content"] for m in broken["messages"]][2:] == ["home", "hm"], "no observation after"


def test_an_episode_without_an_action_has_no_answer(tmp_path: Path) -> None:
    made = made_rollouts([("mug", [("home", "!hm")], 0.0)])
    sample = written(made, tmp_path)["samples/mug_epoch_1.json"]
    assert sample["scores"]["reward"] == {
        "value": 0.0, "answer": None, "explanation": "ended by step-limit",
    }  # fmt: skip
    silent = replace(made.trajectories[0], outputs=(), thoughts=(), actions=(), valid=(), scores=())
    sample = written(replace(made, trajectories=[silent]), tmp_path)["samples/mug_epoch_1.json"]
    assert (sample["output"]["choices"], sample["output"]["completion"]) == ([], "")


def test_the_first_text_of_all_may_be_the_answer(tmp_path: Path) -> None:
    made = made_rollouts([("mug", [("home", "buy")], 1.0)])
    one = replace(made.trajectories[0], actions=(0,))
    sample = written(replace(made, trajectories=[one]), tmp_path)["samples/mug_epoch_1.json"]
    assert sample["scores"]["reward"]["answer"] == made.texts[0]


def test_the_summaries_repeat_each_sample_in_short(tmp_path: Path) -> None:
    found = written(shop(), tmp_path)
    assert found["summaries.json"] == found["_journal/summaries/1.json"]
    kept = ("id", "epoch", "input", "target", "metadata", "scores", "model_usage", "uuid")
    limits = [None, "custom", None]
    errors = [None, None, "environment-error: no answer"]
    names = ("mug_epoch_1", "mug_epoch_2", "tie_epoch_1")
    for name, summary, limit, error in zip(
        names, found["summaries.json"], limits, errors, strict=True
    ):
        sample = found[f"samples/{name}.json"]
        assert {field: summary[field] for field in kept} == {field: sample[field] for field in kept}
        assert (summary.get("limit"), summary.get("error")) == (limit, error)
        assert (summary["completed"], summary["turn_count"]) == (True, sample["turn_count"])
        assert summary["message_count"] == len(sample["messages"])


def test_the_header_says_what_was_run_when_and_the_figures_over_all(tmp_path: Path) -> None:
    found = written(shop(), tmp_path)
    header = found["header.json"]
    assert found["_journal/start.json"] == {
        name: header[name] for name in ("version", "eval", "plan")
    }
    assert header["version"] == 2
    assert header["status"] == "success"
    assert header["eval"] == {
        **dict.fromkeys(("eval_id", "run_id", "task_id"), IDENTITY[:22]),
        "created": "2026-11-28T05:40:34+00:00",
        "task": "shop/train",
        "dataset": {
            "name": "shop/train", "samples": 2, "sample_ids": ["mug", "tie"], "shuffled": False,
        },
        "model": "tratree/weak",
        "model_generate_config": {"temperature": 1.0, "top_p": 1.0},
        "config": {"epochs": 2},
        "metadata": {"split": "train"},
    }  # fmt: skip
    metrics = {"mean": {"name": "mean", "value": 0.5}, "stderr": {"name": "stderr", "value": 0.25}}
    assert header["results"] == {
        "total_samples": 3,
        "completed_samples": 2,
        "scores": [{"name": "reward", "scorer": "reward", "metrics": metrics}],
    }
    assert header["stats"] == {
        "started_at": "2026-11-28T05:40:04+00:00",
        "completed_at": "2026-11-28T05:40:34+00:00",
        "model_usage": {},
    }


@pytest.mark.parametrize("settings", [[], [{"temperature": 1.0}, {"temperature": 0.5}]])
def test_the_header_tells_no_sampling_where_there_is_none_or_several(
    settings: list[dict[str, float]], tmp_path: Path
) -> None:
    header = written(shop(settings=settings), tmp_path)["header.json"]
    assert header["eval"]["model_generate_config"] == {}


def test_a_log_of_no_episodes_has_one_epoch_and_takes_no_time(tmp_path: Path) -> None:
    bare = LogHead("shop", "m", IDENTITY, 0.0)
    header = written(shop(trajectories=[]), tmp_path, bare)["header.json"]
    assert header["eval"]["config"] == {"epochs": 1}
    assert header["stats"]["started_at"] == header["stats"]["completed_at"]


@pytest.mark.parametrize(
    ("created", "date"),
    [(0.0, (1980, 1, 1, 0, 0, 0)), (1_795_844_434.0, (2026, 11, 28, 5, 40, 34))],
)
def test_the_files_in_a_log_have_the_time_of_the_artifact(
    created: float, date: tuple[int, ...], tmp_path: Path
) -> None:
    """A zip file knows no year before 1980."""
    write_inspect_log(shop(), replace(HEAD, created=created), tmp_path / "x.eval")
    with zipfile.ZipFile(tmp_path / "x.eval") as archive:
        assert {info.date_time for info in archive.infolist()} == {date}
