"""Splits to evaluate on are protected by what an environment declares, whatever their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.agents.toy import ToyEnvironment
from tratree_cli.config import Config, load_recipe
from tratree_cli.envs.protocol import EnvironmentSpec
from tratree_cli.errors import InputError
from tratree_cli.stages import demos, explore


class Practice(ToyEnvironment):
    def splits(self) -> Mapping[str, Sequence[str]]:
        return {"train": ["0", "1"], "practice": ["2"], "held-out": ["3"], "test": ["4"]}


class Declaring(Practice):
    training_splits = ("train", "practice")


def silent(data: str = "embedded", **parameters: Any) -> Practice:
    name = f"python:{__name__}:silent"
    return Practice(EnvironmentSpec(name, data, "d" * 64, parameters))


def declaring(data: str = "embedded", **parameters: Any) -> Declaring:
    name = f"python:{__name__}:declaring"
    return Declaring(EnvironmentSpec(name, data, "d" * 64, parameters))


def configured(opener: str, split: str) -> Config:
    config = load_recipe("micro", "webshop")
    return replace(
        config,
        env=replace(config.env, name=f"python:{__name__}:{opener}", parameters={}),
        demos=replace(config.demos, split=split),
        explore=replace(config.explore, split=split),
    )


@pytest.mark.parametrize(
    ("opener", "split", "learned_from"),
    [
        ("silent", "train", True),
        ("silent", "practice", False),
        ("silent", "held-out", False),
        ("silent", "test", False),
        ("declaring", "practice", True),
        ("declaring", "held-out", False),
    ],
)
def test_a_split_to_evaluate_on_is_refused_whatever_its_name(
    opener: str, split: str, learned_from: bool
) -> None:
    config = configured(opener, split)
    if learned_from:
        assert explore.node(config, policies=["expert"]).params.split == split
        assert demos.node(config).params.split == split
        return
    with pytest.raises(InputError, match="--allow-test"):
        explore.node(config, policies=["expert"])
    with pytest.raises(InputError, match=f"demonstrate on the split '{split}'"):
        demos.node(config)
    insisted = explore.node(config, policies=["expert"], allow_test=True)
    assert insisted.params.split == split
