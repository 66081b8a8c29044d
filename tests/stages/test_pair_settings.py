"""The section ``pairs`` as each pair rule reads it."""

from __future__ import annotations

from typing import Any

import pytest

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.stages import mine_pairs

RULES = ("tree", "unstructured", "eto", "eto-expert", "ipr", "ceiling")


def keyed(rule: str, **pairs: Any) -> dict[str, Any]:
    config = Config().with_values({"pairs": pairs}, "the test")
    return dict(mine_pairs.node(config, rule=rule).key_params)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("pairs", "horizon", "mixed"),
    [
        ({}, 0, False),
        ({"level": "trajectory"}, 0, False),
        ({"level": "step"}, 1, False),
        ({"horizon": 1}, 1, False),
        ({"level": "step", "horizon": 2}, 2, False),
        ({"level": "mixed"}, 1, True),
        ({"level": "mixed", "horizon": 3}, 3, True),
    ],
)
def test_level_and_horizon_say_how_far_continuations_go_for_every_rule(
    rule: str, pairs: dict[str, Any], horizon: int, mixed: bool
) -> None:
    params = keyed(rule, **pairs)
    assert (params.get("horizon", 0), params.get("mixed", False)) == (horizon, mixed)


def test_a_horizon_of_whole_trajectories_is_refused() -> None:
    with pytest.raises(InputError, match=r"pairs\.horizon = 2 cuts continuations"):
        keyed("tree", level="trajectory", horizon=2)


def test_what_is_not_asked_for_is_not_keyed() -> None:
    assert set(keyed("tree")) == {"rule", "min_gap", "per_task", "seed", "select", "per_node"}
    assert set(keyed("unstructured")) == {"rule", "min_gap", "per_task", "seed"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_chosen", 1.0),
        ("keep_invalid", True),
        ("per_kind", 2),
        ("mirror", True),
    ],
)
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_of_the_paper_reads_what_is_about_pairs_of_any_kind(
    rule: str, name: str, value: Any
) -> None:
    assert keyed(rule, **{name: value})[name] == value


def test_length_decides_at_divergences_only() -> None:
    assert keyed("tree", tie_break="shorter")["tie_break"] == "shorter"
    assert "tie_break" not in keyed("unstructured", tie_break="shorter")


def test_one_rule_may_have_values_of_its_own() -> None:
    rules = {"unstructured": {"per_task": 2, "level": "trajectory"}}
    one = keyed("tree", level="step", per_task=0, rules=rules)
    other = keyed("unstructured", level="step", per_task=0, rules=rules)
    assert (one["horizon"], one["per_task"]) == (1, 0)
    assert ("horizon" in other, other["per_task"]) == (False, 2)
    again = Config().with_values({"pairs": {"rules": {"eto": {"per_task": 3}}}}, "the test")
    assert mine_pairs.node(again, rule="eto").params.per_task == 3


def test_what_is_said_of_all_rules_later_takes_back_what_was_said_of_one() -> None:
    recipe = Config().with_values({"pairs": {"rules": {"tree": {"per_task": 3}}}}, "the test")
    again = recipe.with_values({"pairs": {"per_task": 1}}, "the test")
    assert mine_pairs.node(recipe, rule="tree").params.per_task == 3
    assert mine_pairs.node(again, rule="tree").params.per_task == 1
    both = {"pairs": {"per_task": 1, "rules": {"tree": {"per_task": 2}}}}
    assert mine_pairs.node(recipe.with_values(both, "x"), rule="tree").params.per_task == 2


def test_turns_of_all_rules_are_none_of_one_that_takes_whole_trajectories() -> None:
    rules: dict[str, Any] = {"unstructured": {"level": "trajectory"}}
    assert keyed("tree", level="step", horizon=2, rules=rules)["horizon"] == 2
    assert "horizon" not in keyed("unstructured", level="step", horizon=2, rules=rules)
    rules["unstructured"]["horizon"] = 2
    with pytest.raises(InputError, match="takes them to the end"):
        keyed("unstructured", level="step", rules=rules)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"unstructurd": {}}, "did you mean 'unstructured'"),
        ({"tree": {"per_taks": 1}}, r"did you mean 'pairs\.rules\.tree\.per_task'"),
        ({"tree": {"per_task": -1}}, "must be at least 0"),
        ({"tree": {"rule": "eto"}}, "it is no setting of one rule"),
        ({"tree": 3}, "must be values of pairs"),
    ],
)
def test_values_of_one_rule_are_checked_as_those_of_the_section(rules: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        keyed("tree", rules=rules)
