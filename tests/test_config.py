"""Recipes, precedence and overrides."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from tratree_cli.config import Config, all_keys, load_recipe, parse_assignment, recipes
from tratree_cli.errors import InputError


@pytest.mark.parametrize("name", recipes())
def test_every_shipped_recipe_loads(name: str) -> None:
    assert load_recipe(name).recipe == name


def test_the_paper_recipes_hold_the_papers_settings() -> None:
    for name in (n for n in recipes() if n.startswith("paper-")):
        config = load_recipe(name)
        assert (config.sft.lora_r, config.sft.lora_alpha) == (64, 128)
        assert (config.sft.learning_rate, config.dpo.learning_rate) == (1e-5, 2e-5)
        assert (config.sft.batch_size, config.dpo.batch_size, config.dpo.beta) == (32, 32, 0.1)
        assert config.sft.scheduler == "cosine"
        assert config.mcts.rollouts == 100


def test_an_assignment_is_toml_and_else_a_text() -> None:
    assert parse_assignment("explore.m=8") == {"explore": {"m": 8}}
    assert parse_assignment("explore.temperature=[0.7, 1.0]") == {
        "explore": {"temperature": [0.7, 1.0]}
    }
    assert parse_assignment("models.weak=Qwen/Qwen2.5-7B") == {
        "models": {"weak": "Qwen/Qwen2.5-7B"}
    }


def test_a_whole_number_is_a_number_and_a_truth_value_is_not() -> None:
    assert Config().with_values({"dpo": {"beta": 1}}, "test").dpo.beta == 1.0
    with pytest.raises(InputError, match="whole number"):
        Config().with_values({"explore": {"m": True}}, "test")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("mcts.select", "foo", "one of mean, visits, max, best-observed"),
        ("tree.merge", "exct", "one of exact, similar, not 'exct' (did you mean 'exact'?)"),
        ("tree.guard", "foo", "one of numbers-equal"),
        ("sft.epochs", 0, "above 0"),
        ("sft.epochs", float("nan"), "above 0"),
        ("explore.temperature", [0.5, -1.0], "at least 0, not -1.0"),
        ("eval.top_p", 2, "at most 1"),
        ("explore.m", 0, "at least 1"),
        ("seed", 2**32, "at most 4294967295"),
    ],
)
def test_a_value_that_no_stage_would_take_is_refused_before_any_runs(
    key: str, value: Any, said: str
) -> None:
    section, _, name = key.partition(".")
    with pytest.raises(InputError, match=re.escape(f"test: '{key}' must be {said}")) as caught:
        Config().with_values({section: {name: value} if name else value}, "test")
    assert "\n" not in str(caught.value)


def test_the_words_of_a_parameter_are_those_that_its_stage_knows() -> None:
    from tratree_cli.stages.sft import ROLES
    from tratree_cli.trees.build import MergePolicy
    from tratree_cli.trees.pairs import BRANCH_SELECTIONS
    from tratree_cli.trees.search.api import SELECTIONS

    def words(section: Any, key: str) -> set[str]:
        (found,) = (one for one in fields(section) if one.name == key)
        return set(found.metadata["bounds"].choices)

    merge = get_type_hints(MergePolicy)
    assert words(Config().tree, "merge") == set(get_args(merge["kind"]))
    assert words(Config().tree, "guard") == set(get_args(get_args(merge["guard"])[0]))
    assert words(Config().pairs, "select") == set(BRANCH_SELECTIONS)
    assert words(Config().mcts, "select") == {*SELECTIONS, "best-observed"}
    assert words(Config().explore, "explorer") == {*ROLES, "both"}


def test_unknown_keys_name_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"did you mean 'mcts\.rollouts'"):
        Config().with_values({"mcts": {"rollout": 3}}, "test")


def test_a_section_is_not_a_value() -> None:
    with pytest.raises(InputError, match="is a section"):
        Config().with_values({"mcts": 3}, "test")


def test_environment_parameters_are_laid_over_each_other() -> None:
    config = load_recipe("quick").with_values({"env": {"parameters": {"hit_cap": 20}}}, "test")
    assert config.env.parameters == {"page_size": 4, "hit_cap": 20}


def test_every_parameter_has_a_note() -> None:
    text = (Path(__file__).parent.parent / "docs" / "parameters.md").read_text("utf-8")
    for key in all_keys():
        assert key in ("recipe", "seed") or f"`{key}`" in text
