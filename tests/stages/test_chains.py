"""Chains as graphs: who stands in the weak model's place, and what is only its control."""

from __future__ import annotations

from typing import Any

import pytest

from tratree_cli.config import Config, load_recipe
from tratree_cli.errors import InputError
from tratree_cli.methods.registry import is_method
from tratree_cli.pipeline.graph import Node, order
from tratree_cli.reporting import rounds_and_chains, study
from tratree_cli.stages import chains, explore, method_graph, sft, train_strong

MODELS = ["tratree-s", "tratree-m", "tratree-l"]


def config(**sections: Any) -> Config:
    return load_recipe("micro", "webshop").with_values(
        {"chain": {"models": MODELS}, **sections}, "the test"
    )


def of_two(weak: str, strong: str, **sections: Any) -> Config:
    """The recipe with these two models, without any chain."""
    models = {"weak": weak, "strong": strong}
    return load_recipe("micro", "webshop").with_values({"models": models, **sections}, "the test")


def the(node: Node, stage: str) -> Node:
    (found,) = (one for one in node.upstream() if one.stage.name == stage)
    return found


def explored_by(node: Node) -> Node:
    trees = next(one for one in order([node])[::-1] if one.stage.name == "build-tree")
    return the(trees, "explore")


def test_the_first_link_is_the_method_on_the_first_two_models() -> None:
    first = chains.node(chains.link(config(), 1), "tree-dpo")
    assert first.key == train_strong.node(of_two("tratree-s", "tratree-m"), "tree-dpo").key


def test_the_model_of_one_link_explores_for_the_next_and_is_its_weak_reference() -> None:
    first = chains.node(chains.link(config(), 1), "tree-dpo")
    second = chains.node(config(), "tree-dpo")
    explored = explored_by(second)
    assert [one.key for one in explored.upstream()] == [first.key]
    # Policies that are compared are played with the same draws.
    assert explored.params.roles == explore.node(of_two("tratree-m", "tratree-l")).params.roles
    (scores,) = second.inputs["reference"]
    assert isinstance(scores, Node) and scores.inputs["model"][0].key == first.key  # type: ignore[union-attr]
    (init,) = second.inputs["init"]
    strong = sft.node(of_two("tratree-m", "tratree-l"), "strong")
    assert isinstance(init, Node) and init.key == strong.key


def test_another_reference_stays_and_both_explorers_keep_the_strong_one() -> None:
    second = chains.node(config(dpo={"ref": "strong-sft"}), "tree-dpo")
    (scores,) = second.inputs["reference"]
    strong = sft.node(of_two("tratree-m", "tratree-l"), "strong")
    assert isinstance(scores, Node) and scores.inputs["model"][0].key == strong.key  # type: ignore[union-attr]
    both = explored_by(chains.node(config(explore={"explorer": "both"}), "mcts"))
    assert both.params.roles == ("weak", "strong")
    assert [*both.upstream()][1].key == strong.key
    with pytest.raises(InputError, match=r"explore\.explorer is strong"):
        chains.node(config(explore={"explorer": "strong"}), "mcts")


def test_a_chain_of_four_passes_through_all_its_links() -> None:
    models = [*MODELS, "tratree-rooms-s"]
    last = chains.node(config(chain={"models": models}), "mcts")
    trained = [one for one in order([last]) if one.stage.name == "train-strong"]
    assert [one.params.method for one in trained] == ["mcts", "mcts/chain", "mcts/chain"]


def test_a_restart_is_the_method_as_it_is_and_has_the_episodes_of_all_links() -> None:
    alone = of_two("tratree-m", "tratree-l")
    restart = method_graph.policy(config_of_last_link(), "mcts")
    assert isinstance(restart, Node) and restart.key == train_strong.node(alone, "mcts").key
    more = method_graph.policy(config_of_last_link(), "mcts/restart-more")
    assert isinstance(more, Node)
    assert explored_by(more).params.m == 2 * explored_by(restart).params.m


def config_of_last_link() -> Config:
    return chains.link(config(), 2)


def test_every_link_has_both_sft_models_sft_more_and_the_ceiling_beside_it() -> None:
    first, second = rounds_and_chains.parts(config(), ("mcts",))
    assert (second.config.models.weak, second.config.models.strong) == ("tratree-m", "tratree-l")
    beside = {"sft-weak", "sft-strong", "sft-more", "ceiling", "mcts"}
    assert set(first.methods) == beside
    assert set(second.methods) == beside | {"mcts/chain", "mcts/restart-more"}
    _, alone = rounds_and_chains.parts(config(), ("mcts",), restart=False)
    assert set(alone.methods) == beside - {"mcts"} | {"mcts/chain"}


def test_the_cells_of_a_chain_say_of_which_link_they_are() -> None:
    cells = study.study_cells(config(), ("random", "mcts"))
    settings = ("models.weak", "models.strong")
    named = {(cell.method, *map(cell.settings.get, settings)) for cell in cells}
    assert len(cells) == len(named)
    assert ("random", None, None) in named and ("mcts/chain", "tratree-m", "tratree-l") in named
    (last,) = (cell for cell in cells if cell.method == "mcts/chain")
    assert last.settings[rounds_and_chains.MODELS] == ",".join(MODELS)
    assert {c.settings.get("models.weak") for c in cells if c.method == "sft-weak"} == {
        "tratree-s", "tratree-m",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        (["tratree-s"], "a chain needs two models or more"),
        (["tratree-s", "tratree-m", "tratree-s"], "tratree-s is there twice"),
    ],
)
def test_a_chain_of_too_few_or_equal_models_is_refused(models: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        rounds_and_chains.parts(config(chain={"models": models}), ("mcts",))


def test_a_chain_needs_a_method_that_the_weak_model_explores_for_and_one_round() -> None:
    with pytest.raises(InputError, match="explores for none of the methods \\(eto\\)"):
        rounds_and_chains.parts(config(), ("eto",))
    with pytest.raises(InputError, match="drop --rounds or --chain"):
        rounds_and_chains.parts(config(rounds={"number": 2}), ("mcts",))
    assert is_method("mcts/chain") and not is_method("eto/chain")
