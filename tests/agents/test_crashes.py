"""Environments that crash: whose fault it is, how often it is forgiven, and what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.agents.toy import ToyEnvironment, ToyEpisode, open_environment
from tratree_cli.agents.episode import EpisodeRequest
from tratree_cli.agents.registry import open_policy
from tratree_cli.agents.rollout import play
from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import (
    DONE,
    ENVIRONMENT_ERROR,
    Rollouts,
    read_rollouts,
    write_rollouts,
)

REQUESTS = [EpisodeRequest(str(task), seed=task) for task in range(6)]


class ServedEpisode(ToyEpisode):
    """Plays on a game server that all episodes share."""

    server: Any = None

    def reset(self) -> str:
        self.server.call()
        return super().reset()

    def step(self, action: str) -> Any:
        self.server.call()
        return super().step(action)


class Server:
    """Dies for good after so many calls."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def call(self) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise ConnectionError("the game server is gone")


class OneServer(ToyEnvironment):
    def __init__(self, calls: int) -> None:
        super().__init__(open_environment().spec)
        self.server = Server(calls)

    def episode(self, task: str) -> ToyEpisode:
        episode = ServedEpisode(task)
        episode.server = self.server
        return episode


def test_a_server_that_dies_under_all_episodes_is_opened_once_and_nobody_is_blamed() -> None:
    calm, _ = play(open_environment(), open_policy("expert"), REQUESTS)
    opened = []

    def reopen() -> ToyEnvironment:
        opened.append(OneServer(10**6))
        return opened[-1]

    played, _ = play(OneServer(9), open_policy("expert"), REQUESTS, reopen=reopen, restarts=2)
    assert played == calm
    assert len(opened) == 1


def test_crashes_are_counted_over_the_whole_episode(tmp_path: Path) -> None:
    class Shaky(ToyEpisode):
        def step(self, action: str) -> Any:
            # Each step crashes once, and its repetition works.
            mark = tmp_path / f"{self.task}-{self.where}-{action}"
            if not mark.exists():
                mark.touch()
                raise RuntimeError("the environment crashed")
            return super().step(action)

    class Environment(ToyEnvironment):
        def episode(self, task: str) -> ToyEpisode:
            return Shaky(task)

    # Two steps, so two crashes.
    for restarts, end in ((2, DONE), (1, ENVIRONMENT_ERROR)):
        for mark in tmp_path.iterdir():
            mark.unlink()
        environment = Environment(open_environment().spec)
        request = [EpisodeRequest("1")]
        (played,), _ = play(environment, open_policy("expert"), request, restarts=restarts)
        assert played.end == end


def test_how_it_crashed_is_kept_with_the_episode_and_survives_the_file(tmp_path: Path) -> None:
    (tmp_path / "crash-3").write_text("99")
    played, texts = play(
        open_environment(crash=str(tmp_path)), open_policy("expert"), REQUESTS[2:5]
    )
    assert [one.detail for one in played] == ["", "RuntimeError: the environment crashed", ""]
    out = tmp_path / "out"
    out.mkdir()
    write_rollouts(Rollouts(texts, played), out)
    assert read_rollouts(out).trajectories == played


def test_an_instruction_that_cannot_be_had_is_a_crash_too() -> None:
    class Mute(ToyEnvironment):
        def instruction(self, task: str) -> str:
            if task == "2":
                raise RuntimeError("no such game file")
            return super().instruction(task)

    played, _ = play(Mute(open_environment().spec), open_policy("expert"), REQUESTS)
    assert [one.end for one in played].count(ENVIRONMENT_ERROR) == 1
    assert played[2].detail == "RuntimeError: no such game file"


def test_what_the_user_can_mend_is_no_crash() -> None:
    class Missing(ToyEnvironment):
        def episode(self, task: str) -> ToyEpisode:
            raise InputError("the data folder has no games; fetch them")

    with pytest.raises(InputError, match="fetch them"):
        play(Missing(open_environment().spec), open_policy("expert"), REQUESTS)
