"""Rounds as a graph: what each later one learns from, where it starts, and what is keyed."""

from __future__ import annotations

from typing import Any

import pytest

from tratree_cli.config import Config, load_recipe
from tratree_cli.errors import InputError
from tratree_cli.methods.registry import is_method, method, with_controls
from tratree_cli.pipeline.graph import Node, order
from tratree_cli.pipeline.lineage import ONLY_COUNTED
from tratree_cli.reporting import study
from tratree_cli.stages import explore, method_graph, rounds, sft, train_strong


def config(**sections: Any) -> Config:
    return load_recipe("micro", "webshop").with_values(
        {"rounds": {"number": 3}, **sections}, "the test"
    )


def second(given: Config, name: str) -> tuple[Node, Node, tuple[Node, ...]]:
    """The first round's model, the second round's, and what that one learns from."""
    first = train_strong.node(given, name)
    explored = rounds.explorations(given, method(name), 2, (first,))
    return first, rounds._training(given, method(name), 2, explored, first), explored


def test_the_first_round_is_the_method_itself() -> None:
    (first,) = rounds.node(config(), "tree-dpo").inputs["first"]
    assert isinstance(first, Node)
    alone = load_recipe("micro", "webshop")
    assert first.key == train_strong.node(alone, "tree-dpo").key
    (explored,) = rounds.explorations(config(), method("tree-dpo"), 1, ())
    assert explored.key == explore.node(alone).key


def test_old_rollouts_stay_and_the_last_model_adds_its_own_with_new_draws() -> None:
    given = config()
    models = [train_strong.node(given, name) for name in ("tree-dpo", "mcts")]
    first, second, third = rounds.explorations(given, method("tree-dpo"), 3, models)
    assert first.key == explore.node(given).key
    assert [one.params.roles for one in (first, second, third)] == [
        ("weak",), ("strong",), ("strong-2",),
    ]  # fmt: skip
    assert [one.inputs["policy"][0] for one in (second, third)] == models
    assert {one.params.m for one in (first, second, third)} == {3}
    # What the SFT strong model played already was played with the draws of "strong".
    own = rounds.explorations(given, method("eto"), 2, models[:1])
    assert [one.params.roles for one in own] == [("strong",), ("strong-2",)]


@pytest.mark.parametrize(("explorer", "samples"), [("weak", [6]), ("both", [6, 3])])
def test_whoever_explored_first_plays_more_samples_where_it_goes_on(
    explorer: str, samples: list[int]
) -> None:
    _, _, explored = second(config(rounds={"number": 3, "explorer": explorer}), "tree-dpo")
    assert [one.params.m for one in explored] == samples


def test_a_later_round_starts_from_the_last_model_or_from_sft() -> None:
    first, trained, explored = second(config(), "tree-dpo")
    assert trained.inputs["init"] == (first,)
    trees = [one for one in order([trained]) if one.stage.name == "build-tree"][-1]
    assert trees.inputs["rollouts"] == explored
    again = config(rounds={"number": 3, "init": "sft"})
    _, trained, _ = second(again, "tree-dpo")
    (init,) = trained.inputs["init"]
    assert isinstance(init, Node) and init.key == sft.node(again, "strong").key


def test_the_reference_moves_on_with_the_start_only_where_it_was_the_start() -> None:
    def reference(given: Config, name: str) -> Node:
        _, trained, _ = second(given, name)
        scores = trained.inputs["reference"][0]
        assert isinstance(scores, Node)
        (model,) = scores.inputs["model"]
        assert isinstance(model, Node)
        return model

    given = config()
    assert reference(given, "eto").key == train_strong.node(given, "eto").key
    assert reference(given, "tree-dpo").key == sft.node(given, "weak").key
    fixed = config(dpo={"ref": "strong-sft"})
    assert reference(fixed, "eto").key == sft.node(fixed, "strong").key


@pytest.mark.parametrize("name", ["tree-dpo", "mcts", "tree-joint", "eto", "ceiling"])
def test_what_decides_a_later_round_is_keyed_and_nothing_else(name: str) -> None:
    key = rounds.node(config(), name).key
    assert rounds.node(config(report={"held_out": 7}), name).key == key
    changes: list[dict[str, Any]] = [
        {"rounds": {"number": 2}}, {"rounds": {"number": 3, "patience": 2}},
        {"rounds": {"number": 3, "init": "sft"}}, {"rounds": {"number": 3, "explorer": "both"}},
        {"explore": {"m": 2}}, {"tree": {"merge": "exact"}}, {"seed": 1},
        {"rounds": {"number": 3, "dev_tasks": 5}},
    ]  # fmt: skip
    keys = [rounds.node(config(**change), name).key for change in changes]
    assert len({key, *keys}) == len(changes) + 1


def test_at_once_has_the_episodes_of_all_rounds_and_counts_their_updates() -> None:
    given = config()
    at_once = method_graph.policy(given, "tree-dpo/at-once")
    assert isinstance(at_once, Node)
    explored = next(
        one for one in order([at_once.inputs["pairs"][0]]) if one.stage.name == "explore"
    )
    assert explored.params.m == 9
    counted = rounds.node(given, "tree-dpo")
    assert at_once.inputs[ONLY_COUNTED][0].key == counted.key  # type: ignore[union-attr]
    # Two loops may end in one model after unequally many updates.
    longer = config(rounds={"number": 3, "patience": 2})
    other = method_graph.policy(longer, "tree-dpo/at-once")
    assert isinstance(other, Node)
    assert other.key_params["steps"] != at_once.key_params["steps"]


def test_rounds_stand_beside_the_method_and_its_control_at_equal_budget() -> None:
    names = study.chosen_methods("sft-strong,tree-dpo,random", config())
    assert names == ("sft-strong", "tree-dpo", "random", "tree-dpo/rounds", "tree-dpo/at-once")
    without = study.chosen_methods("tree-dpo", config(), False)
    assert without == ("tree-dpo", "tree-dpo/rounds")
    assert with_controls(("mcts/rounds",))[:3] == ("mcts/rounds", "mcts", "mcts/at-once")
    record = method("tree-dpo/at-once")
    assert record.control_of == "tree-dpo" and record.group == "control"
    assert not any(map(is_method, ("sft-more/rounds", "expert/rounds", "tree-dpo/round")))


def test_rounds_are_refused_on_a_test_split_and_where_nothing_explores() -> None:
    with pytest.raises(InputError, match=r"play rounds on the split 'test'.* use train or dev$"):
        study.chosen_methods("tree-dpo", config(explore={"split": "test"}))
    with pytest.raises(InputError, match="--rounds 3: none of the methods \\(sft-strong\\)"):
        study.chosen_methods("sft-strong", config())
