"""Simulators that are lost, and episodes that go on in others: played with a stand-in for Java."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from tratree_cli.envs.protocol import EnvironmentSpec
from tratree_cli.envs.scienceworld.environment import PREFIX, ScienceWorldEnvironment
from tratree_cli.envs.scienceworld.simulator import Simulator, SimulatorLostError
from tratree_cli.envs.scienceworld.simulator_pool import SimulatorPool
from tratree_cli.errors import StageError


class StandIn:
    """Tells what it was told since it was loaded; some of its steps fail."""

    def __init__(self, made: list[StandIn], fails: Callable[[int, str], bool]) -> None:
        made.append(self)
        self.number, self.fails = len(made), fails
        self.heard: list[str] = []
        self.killed = False

    def load(self, family: str, variation: int, simplifications: str) -> str:
        self.heard = []
        return f"{family} {variation}"

    def step(self, action: str) -> tuple[str, float, bool]:
        if self.fails(self.number, action):
            raise SimulatorLostError("it is gone")
        self.heard.append(action)
        return ", ".join(self.heard), 0.0, False

    def kill(self) -> None:
        self.killed = True


def world(
    fails: Callable[[int, str], bool], limit: int = 2
) -> tuple[ScienceWorldEnvironment, list[StandIn]]:
    made: list[StandIn] = []
    parameters: dict[str, Any] = {
        "view": "full", "success": "eto", "max_steps": 0, "families": "*",
    }  # fmt: skip
    spec = EnvironmentSpec("scienceworld", "embedded", "1", parameters)

    def start() -> Simulator:
        return cast(Simulator, StandIn(made, fails))

    return ScienceWorldEnvironment(spec, SimulatorPool(start, lambda family: "", limit)), made


def test_an_episode_whose_simulator_is_lost_is_replayed_in_another() -> None:
    environment, made = world(lambda number, action: number == 1 and action == "b")
    episode = environment.episode("boil/1")
    assert episode.step("a").observation == PREFIX + "a"
    assert episode.step("b").observation == PREFIX + "a, b"
    assert [(one.killed, one.heard) for one in made] == [(True, ["a"]), (False, ["a", "b"])]


def test_a_simulator_that_is_lost_during_the_replay_is_replaced_too() -> None:
    environment, made = world(
        lambda number, action: (number, action) in ((1, "b"), (2, "a")),
    )
    episode = environment.episode("boil/1")
    episode.step("a")
    assert episode.step("b").observation == PREFIX + "a, b"
    assert [one.killed for one in made] == [True, True, False]


def test_an_action_that_no_simulator_survives_is_an_error_that_names_it() -> None:
    environment, made = world(lambda number, action: action == "explode")
    episode = environment.episode("boil/1")
    episode.step("a")
    with pytest.raises(StageError, match=r"lost 3 times in task boil/1 at step 2 \(it is gone\)"):
        episode.step("explode")
    assert [one.killed for one in made] == [True, True, True]
    assert environment.episode("boil/2").step("a").observation == PREFIX + "a"


def test_episodes_beyond_the_number_of_simulators_do_not_notice() -> None:
    environment, made = world(lambda number, action: False)
    episodes = [environment.episode(f"boil/{number}") for number in range(5)]
    for action in ("a", "b", "c"):
        told = [episode.step(action).observation for episode in episodes]
    assert told == [PREFIX + "a, b, c"] * 5
    assert len(made) == 2


def test_closing_ends_every_simulator() -> None:
    environment, made = world(lambda number, action: False)
    episodes = [environment.episode(f"boil/{number}") for number in range(2)]
    for episode in episodes:
        episode.step("a")
    environment.close()
    environment.close()
    assert [one.killed for one in made] == [True, True]
