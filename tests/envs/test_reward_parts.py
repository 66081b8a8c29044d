"""The words in which environments say what their reward is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tratree_cli.envs.protocol import FINISHED
from tratree_cli.envs.registry import reward_parts
from tratree_cli.evaluation.results import EpisodeResult


def names(environment: str) -> list[str]:
    return [part.name for part in reward_parts(environment)]


def episode(score: float, end: str) -> EpisodeResult:
    return EpisodeResult("t", "other", 0, 0, score, False, 3, 0, end)


def test_each_shipped_environment_names_its_own() -> None:
    assert names("webshop") == ["bought"]
    assert names("alfworld") == ["solved"]
    assert names("scienceworld") == ["ended", "failed", "met a subgoal"]


def test_a_wrong_focus_ends_a_task_of_scienceworld_below_the_full_score() -> None:
    _, failed, subgoals = reward_parts("scienceworld")
    spoilt, solved, open_end = (
        episode(0.5, "done"),
        episode(1.0, "done"),
        episode(0.0, "step-limit"),
    )
    assert [failed.holds(one) for one in (spoilt, solved, open_end)] == [True, False, False]
    assert [subgoals.holds(one) for one in (spoilt, solved, open_end)] == [True, True, False]


@pytest.mark.parametrize("environment", ["", "not-installed", "python:no_such_module_here:f"])
def test_an_environment_that_is_not_installed_has_finished_episodes(environment: str) -> None:
    assert reward_parts(environment) == (FINISHED,)


def test_a_file_of_ones_own_may_declare_parts_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("plain_env_of_mine.py").write_text("def open_environment(data): ...\n")
    Path("env_of_mine_with_parts.py").write_text(
        "from tratree_cli.envs.protocol import RewardPart\n"
        "REWARD_PARTS = [RewardPart('guessed', lambda e: e.success, 'guessed the number')]\n"
        "def open_environment(data): ...\n"
    )
    assert names("python:plain_env_of_mine") == ["finished"]
    assert names("python:env_of_mine_with_parts") == ["guessed"]
