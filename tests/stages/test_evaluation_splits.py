"""The paper's names of the evaluation sets are the splits that they are, under one key."""

from __future__ import annotations

import pytest

from tratree_cli.config import Config, load_recipe
from tratree_cli.stages import evaluate


def asked(environment: str, split: str, data: str = "embedded") -> Config:
    recipe = load_recipe("quick", environment)
    values = {"env": {"name": environment, "data": data}, "eval": {"split": split}}
    return recipe.with_values(values, "the test")


@pytest.mark.parametrize(
    ("environment", "data", "spoken", "own"),
    [
        ("alfworld", "embedded", "unseen", "test"),
        ("alfworld", "embedded", "seen", "test-seen"),
        ("alfworld", "/games", "seen", "dev"),
        ("alfworld", "/games", "test-seen", "test-seen"),
        ("scienceworld", "embedded", "seen", "dev"),
        ("scienceworld", "embedded", "unseen", "test"),
        ("webshop", "embedded", "test-clean", "test-clean"),
        ("webshop", "embedded", "unseen", "unseen"),
    ],
)
def test_seen_and_unseen_are_splits_by_another_name(
    environment: str, data: str, spoken: str, own: str
) -> None:
    assert evaluate.split_named(asked(environment, spoken, data), spoken) == own


def test_an_evaluation_is_cached_under_the_splits_own_name() -> None:
    spoken = evaluate.node(asked("alfworld", "unseen"), policy="random")
    own = evaluate.node(asked("alfworld", "test"), policy="random")
    assert spoken.key == own.key
