"""ETO's rules on top of the engine: prefixes, ten steps, the success rule, and its prompt."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tratree_cli.envs.protocol import INVALID_FORMAT
from tratree_cli.envs.webshop import open_environment
from tratree_cli.resources import templates_dir

Answers = Callable[[str], list[Any]]


def test_recorded_conversations_replay_word_for_word(edge60: Path, answers: Answers) -> None:
    environment = open_environment(str(edge60), goals="human", seed=2)
    conversations = answers("eto_traces.jsonl")
    for conversation in conversations:
        task = str(conversation["session"])
        episode = environment.episode(task)
        assert episode.reset() == conversation["history_after_reset"][-1]["content"]
        assert environment.max_steps(task) == conversation["max_steps"]
        for turn in conversation["steps"]:
            # The agent loop's part of the rules, which this package leaves to it.
            _, marker, action = turn["llm_output"].strip().partition("Action: ")
            if not marker:
                assert turn["observation"] == INVALID_FORMAT
                continue
            outcome = episode.step(action)
            assert outcome.observation == turn["observation"]
            if outcome.done:
                assert outcome.success and turn["success"]
                assert outcome.score == pytest.approx(turn["reward"], abs=1e-9)
                assert turn["terminate_reason"] == "success"
        final = conversation["final"]
        assert final["success"] == any(turn["success"] for turn in conversation["steps"])


@pytest.mark.parametrize("name", ["eto", "eto-example"])
def test_the_prompt_begins_with_the_papers_instruction(name: str, answers: Answers) -> None:
    recorded = answers("eto_traces.jsonl")[0]["history_after_reset"]
    assert prompt(name)[:2] == recorded[:2]


def test_the_quick_prompt_is_empty() -> None:
    assert prompt("quick") == []


def test_the_worked_example_is_what_the_engine_answers_and_ends_well(edge60: Path) -> None:
    environment = open_environment(str(edge60), goals="human", seed=2)
    messages = prompt("eto-example")[2:]
    episode = environment.episode("14")
    assert messages[0]["content"] == "Observation:\n" + episode.reset()
    outcome = None
    for place in range(1, len(messages), 2):
        outcome = episode.step(messages[place]["content"].partition("Action: ")[2])
        if place + 1 < len(messages):
            assert messages[place + 1]["content"] == outcome.observation
    assert outcome is not None and outcome.done and outcome.score == 1.0


def prompt(name: str) -> list[dict[str, str]]:
    path = templates_dir() / "prompts" / "webshop" / name / "prompt.toml"
    messages: list[dict[str, str]] = tomllib.loads(path.read_text(encoding="utf-8"))["messages"]
    return messages
