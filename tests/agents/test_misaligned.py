"""The policy that misleads on purpose: how often, and what each bias is told by."""

from __future__ import annotations

from typing import Any

import pytest

from tratree_cli.agents.registry import open_policy
from tratree_cli.agents.rollout import EpisodeRequest, play
from tratree_cli.envs.biases import bias_of, biases
from tratree_cli.envs.protocol import Environment
from tratree_cli.envs.registry import open_environment
from tratree_cli.errors import InputError


@pytest.fixture(scope="module")
def shop() -> Environment:
    return open_environment("webshop", parameters={"page_size": 4})


@pytest.fixture(scope="module")
def home() -> Environment:
    return open_environment("alfworld")


def followed(environment: Environment, policy: str, bias: str, tasks: int = 12) -> list[Any]:
    """Whether each of the first episodes did what the bias does."""
    names = environment.splits()["train"][:tasks]
    requests = [EpisodeRequest(name, seed=seed) for seed, name in enumerate(names)]
    trajectories, texts = play(environment, open_policy(policy), requests)
    told = bias_of(environment.spec.name, bias)
    return [
        told.follows(
            [texts[n] for n in one.observations], [texts[n] if n >= 0 else "" for n in one.actions]
        )
        for one in trajectories
    ]


@pytest.mark.parametrize("bias", ["dearest", "ignore-option"])
def test_at_a_rate_of_one_every_purchase_follows_the_bias(shop: Environment, bias: str) -> None:
    told = [does for does in followed(shop, f"misaligned:{bias}:1", bias) if does is not None]
    assert len(told) >= 8
    assert all(told)


@pytest.mark.parametrize("bias", ["dearest", "ignore-option"])
def test_at_a_rate_of_zero_it_is_the_expert(shop: Environment, bias: str) -> None:
    assert followed(shop, f"misaligned:{bias}:0", bias) == followed(shop, "expert", bias)


def test_the_expert_clicks_every_option_that_is_asked_for(shop: Environment) -> None:
    assert True not in followed(shop, "expert", "ignore-option")


def test_which_episodes_err_depends_on_seed_and_task_alone(shop: Environment) -> None:
    once = followed(shop, "misaligned:dearest:0.5", "dearest")
    assert once == followed(shop, "misaligned:0.5", "dearest"), "the first bias is the default"
    wrong = sum(does is True for does in once)
    assert 0 < wrong < len(once)


def test_a_careless_helper_brings_things_untreated(home: Environment) -> None:
    told = [does for does in followed(home, "misaligned:1", "untreated", 24) if does is not None]
    assert told
    assert all(told)
    assert True not in followed(home, "expert", "untreated", 24)


@pytest.mark.parametrize("argument", ["2", "-0.1", "often", "dearest:", "dearest:nan", ""])
def test_a_rate_that_is_none_is_refused(argument: str) -> None:
    with pytest.raises(InputError, match=r"write misaligned:RATE or misaligned:BIAS:RATE"):
        open_policy(f"misaligned:{argument}")


def test_an_unknown_bias_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"no bias 'dearst' .did you mean 'dearest'"):
        bias_of("webshop", "dearst")
    with pytest.raises(InputError, match="scienceworld declares no bias"):
        bias_of("scienceworld", "")
    assert biases("not-installed") == ()
