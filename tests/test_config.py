"""Recipes, precedence and overrides."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from tratree_cli.config import (
    Config,
    all_keys,
    from_dict,
    load_recipe,
    parse_assignment,
    recipes,
)
from tratree_cli.errors import InputError
from tratree_cli.sections import SftSection


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
        ("tree.merge", "exct", "one of exact, similar, graph, not 'exct' (did you mean 'exact'?)"),
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
    from tratree_cli.stages.build_tree import GRAPH
    from tratree_cli.stages.sft import ROLES
    from tratree_cli.trees.build import MergePolicy
    from tratree_cli.trees.pairs import BRANCH_SELECTIONS
    from tratree_cli.trees.search.api import SELECTIONS

    def words(section: Any, key: str) -> set[str]:
        (found,) = (one for one in fields(section) if one.name == key)
        return set(found.metadata["bounds"].choices)

    merge = get_type_hints(MergePolicy)
    assert words(Config().tree, "merge") == {*get_args(merge["kind"]), GRAPH}
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


# -- SFT of one model alone ---------------------------------------------------------------------


def test_a_role_has_the_settings_of_sft_but_for_its_own() -> None:
    config = Config().with_values(
        {"sft": {"epochs": 8, "batch_size": 4, "strong": {"epochs": 40}, "weak": {"lora_r": 0}}},
        "test",
    )
    weak, strong = config.sft.of("weak"), config.sft.of("strong")
    assert (weak.epochs, weak.batch_size, weak.lora_r) == (8, 4, 0)
    assert (strong.epochs, strong.batch_size, strong.lora_r) == (40, 4, 64)
    assert Config().sft.of("weak") == Config().sft.of("strong") == SftSection()


def test_settings_of_a_role_are_checked_like_those_of_sft() -> None:
    with pytest.raises(
        InputError, match=r"'sft.strong.epoch' .*did you mean 'sft\.strong\.epochs'"
    ):
        Config().with_values({"sft": {"strong": {"epoch": 3}}}, "test")
    with pytest.raises(InputError, match=r"'sft\.weak\.epochs' must be above 0"):
        Config().with_values({"sft": {"weak": {"epochs": -1}}}, "test")
    with pytest.raises(InputError, match=r"'sft\.weak\.batch_size' must be a whole number"):
        Config().with_values({"sft": {"weak": {"batch_size": "many"}}}, "test")
    with pytest.raises(InputError, match=r"'sft\.weak' is a section"):
        Config().with_values({"sft": {"weak": 3}}, "test")
    with pytest.raises(InputError, match="has none of its own"):
        Config().with_values({"sft": {"weak": {"strong": {}}}}, "test")
    with pytest.raises(InputError, match=r"did you mean 'sft\.strong'"):
        Config().with_values({"sft": {"stron": {"epochs": 3}}}, "test")


def test_what_a_later_layer_says_of_both_models_holds_for_both() -> None:
    recipe = Config().with_values({"sft": {"strong": {"epochs": 40, "batch_size": 8}}}, "recipe")
    flag = recipe.with_values({"sft": {"epochs": 1}}, "flag")
    assert [flag.sft.of(role).epochs for role in ("weak", "strong")] == [1, 1]
    assert flag.sft.of("strong").batch_size == 8
    assert recipe.with_values({"sft": {"strong": {"epochs": 9}}}, "flag").sft.strong == {
        "epochs": 9.0,
        "batch_size": 8,
    }


def test_a_configuration_with_roles_is_read_back_as_it_was_stored() -> None:
    config = Config().with_values({"sft": {"epochs": "auto", "weak": {"epochs": 8}}}, "test")
    assert from_dict(config.to_dict(), "test") == config
    assert config.sft.of("strong").epochs == "auto"


def test_epochs_are_a_number_or_the_word_auto() -> None:
    for word in ("many", "8"):
        with pytest.raises(InputError, match=r"'sft\.epochs' must be a number or 'auto'"):
            Config().with_values({"sft": {"epochs": word}}, "test")
    with pytest.raises(InputError, match=r"'train\.epochs' must be a number"):
        Config().with_values({"train": {"epochs": "auto"}}, "test")


def test_on_the_command_line_a_role_counts_whatever_the_order() -> None:
    from tratree_cli.commands.configuration import configured
    from tratree_cli.commands.options import CommonOptions

    for words in (
        ["sft.strong.epochs=40", "sft.epochs=8"],
        ["sft.epochs=8", "sft.strong.epochs=40"],
    ):
        config = configured(CommonOptions(assignments=words), [], {})
        assert [config.sft.of(role).epochs for role in ("weak", "strong")] == [8, 40]
    # A flag is of the command line too, and of both models.
    config = configured(
        CommonOptions(assignments=["sft.strong.epochs=40"]), [], {"sft__epochs": 2.0}
    )
    assert [config.sft.of(role).epochs for role in ("weak", "strong")] == [2, 40]


def test_numbers_of_tasks_are_called_as_their_option_and_read_under_their_former_name() -> None:
    for section in ("demos", "explore", "eval"):
        now = Config().with_values({section: {"limit": 3}}, "here")
        then = Config().with_values(parse_assignment(f"{section}.tasks=3"), "here")
        assert now == then == from_dict(now.to_dict(), "here")
        assert getattr(now, section).limit == 3
    with pytest.raises(InputError, match=r"'mcts\.tasks'"):
        Config().with_values({"mcts": {"tasks": 3}}, "here")
