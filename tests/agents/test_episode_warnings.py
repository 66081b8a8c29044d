"""A row of zeros says why: what ended nearly all episodes is named, with one example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.commands.test_explore import explore
from tratree_cli.formats.rollouts import Rollouts, TextTable, Trajectory
from tratree_cli.stages.episode_warnings import hopeless_episodes, lost_in_bfloat16
from tratree_cli.stages.sampling import shown_policy


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRATREE_STORE", raising=False)
    return tmp_path


def played(endings: list[str], action: str = "", prompt: dict[str, Any] | None = None) -> Rollouts:
    """Episodes of one step; with an ``action`` of which the environment knows nothing."""
    texts = TextTable(["find a shirt", "I would like to help", "search[shirt]", action])
    known = 3 if action else 2
    trajectories = [
        Trajectory(
            task=str(number),
            sample=0,
            setting=0,
            source=0,
            seed=0,
            instruction=0,
            observations=(0,),
            outputs=(1,),
            thoughts=(-1,),
            actions=(-1 if end == "unparsable" else known,),
            scores=(0.0,),
            valid=(not action and end != "unparsable",),
            score=0.0,
            success=False,
            end=end,
        )
        for number, end in enumerate(endings)
    ]
    return Rollouts(texts, trajectories, prompt=prompt or {})


def test_unparsable_replies_are_explained_with_one_of_them_and_the_prompt_to_choose() -> None:
    (said,) = hopeless_episodes(played(["unparsable"] * 9 + ["done"]), 4096)
    assert said.startswith("9 of 10 episodes ended by unparsable: replies hold no line 'Action: ")
    assert "the prompt has no instructions" in said
    assert "--set env.prompt=eto-example" in said
    assert said.endswith("task 0 was answered 'I would like to help'")


def test_a_prompt_with_instructions_is_not_said_to_have_none() -> None:
    prompt = {"messages": [{"role": "user", "content": "Answer with Action: ..."}]}
    (said,) = hopeless_episodes(played(["unparsable"] * 3, prompt=prompt), 4096)
    assert "no instructions" not in said
    assert "train the model on demonstrations first" in said


def test_overflown_conversations_are_explained_with_the_limit() -> None:
    (said,) = hopeless_episodes(played(["context-overflow"] * 4), 512)
    assert "4 of 4 episodes ended by context-overflow" in said
    assert "explore.max_context is 512 tokens" in said


def test_actions_without_an_effect_are_explained_with_one_of_them() -> None:
    (said,) = hopeless_episodes(played(["step-limit"] * 5, action="buy(it)\nnow"), 4096)
    assert said.startswith("5 of 5 actions had no effect")
    assert said.endswith("was told 'buy(it) now'")


def test_a_few_bad_episodes_are_no_reason_to_speak() -> None:
    assert hopeless_episodes(played(["unparsable"] * 8 + ["done"] * 2), 4096) == []
    assert hopeless_episodes(played([]), 4096) == []


def test_an_exploration_without_instructions_warns_and_does_not_fail(chatml_model: Path) -> None:
    words = ("--policy", str(chatml_model), "--limit", "2", "-m", "2")
    code, answer, errors = explore(*words, "--set", "explore.max_context=1024")
    assert code == 0
    assert "of 4 episodes ended by unparsable" in " ".join(errors.split())
    assert answer["ref"].startswith("rollouts:")


def test_a_model_that_reads_less_than_asked_for_is_named(chatml_model: Path) -> None:
    words = ("--policy", str(chatml_model), "--limit", "1", "-m", "1")
    _, _, errors = explore(*words, "--set", "explore.max_context=4000")
    said = " ".join(errors.split())
    assert "has positions for 1024 tokens" in said
    assert "not at explore.max_context = 4000" in said


def test_a_model_that_plays_in_bfloat16_is_said_to_lose_what_it_learnt(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text('{"update_kept": {"bfloat16": 0.02}}')
    (said,) = lost_in_bfloat16([("model:ab", tmp_path)], lambda: "bfloat16")
    assert "keeps only 2 % of what it learnt" in said
    assert "explore.dtype=float32" in said
    assert lost_in_bfloat16([("model:ab", tmp_path)], lambda: "float32") == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("base:sha256:" + "ab" * 32, "base:abababab"),
        ("base:hub:Qwen/Qwen2.5-7B@" + "cd" * 20, "Qwen/Qwen2.5-7B@cdcdcdcd"),
        ("expert", "expert"),
    ],
)
def test_a_base_model_is_shown_without_most_of_its_digest(name: str, shown: str) -> None:
    assert shown_policy(name) == shown
