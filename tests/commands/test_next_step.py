"""The line to type next names what was just made, and follows from what was found."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tratree_cli.commands.next_step import another_recipe, next_step
from tratree_cli.config import load_recipe
from tratree_cli.stages import mine_pairs, sft

DIGEST = "0123456789abcdef" * 4


def entry(kind: str, stage: str = "", **more: Any) -> Any:
    plain: dict[str, Any] = {"summary": {}, "provenance": {}, "document": {}, "inputs": {}}
    return SimpleNamespace(kind=kind, object=DIGEST, stage=stage, **{**plain, **more})


@pytest.mark.parametrize(
    ("made", "command"),
    [
        (entry("demos"), "sft demos:"),
        (entry("model", "sft", provenance={"role": "weak"}), "explore model:"),
        (entry("model", "sft", provenance={"role": "strong"}), "eval model:"),
        (entry("model", "train-strong"), "eval model:"),
        (entry("rollouts"), "build-tree rollouts:"),
        (entry("tree"), "show tree:"),
        (entry("pairs", summary={"pairs": 3}), "train-strong pairs:"),
        (entry("paths", summary={"paths": 3}), "train-strong paths:"),
        (entry("evaluation"), "report evaluation:"),
    ],
)
def test_what_follows_takes_the_artifact_that_was_made(made: Any, command: str) -> None:
    assert next_step(made) == f"tratree {command}{DIGEST[:12]}"


def test_a_name_and_another_store_are_part_of_the_line() -> None:
    assert next_step(entry("tree"), "mine") == "tratree show mine"
    line = next_step(entry("tree"), store=Path("an other"))
    assert line == f"tratree show tree:{DIGEST[:12]} --store 'an other'"


def test_no_pairs_are_not_trained_on_but_looked_for_otherwise() -> None:
    none = entry(
        "pairs",
        summary={"pairs": 0},
        document={"params": {"min_gap": 0.1}},
        inputs={"tree": [DIGEST]},
    )
    assert next_step(none) == f"tratree mine-pairs tree:{DIGEST[:12]} --min-gap 0"
    none.document["params"]["min_gap"] = 0.0
    none.provenance["config"] = {"recipe": "micro", "explore": {"m": 3}}
    assert next_step(none) == "tratree explore --recipe micro -m 6"


def test_no_paths_are_looked_for_with_a_lower_score() -> None:
    none = entry(
        "paths",
        summary={"paths": 0},
        document={"params": {"min_score": 0.5}},
        inputs={"tree": [DIGEST]},
    )
    assert next_step(none) == f"tratree mcts tree:{DIGEST[:12]} --set mcts.min_score=0"


class Holding:
    """A store that holds these entries."""

    root = Path(".tratree")

    def __init__(self, *entries: Any) -> None:
        self._entries = entries

    def entries(self, *, kind: str, limit: int) -> list[Any]:
        return [held for held in self._entries if held.kind == kind][:limit]


def test_a_bare_stage_beside_another_recipe_offers_what_is_there() -> None:
    wanted = mine_pairs.node(load_recipe("quick"))
    missing = [*wanted.upstream(), wanted]
    tree = entry("tree", provenance={"config": {"recipe": "micro"}})
    said = another_recipe(missing, Holding(tree))  # type: ignore[arg-type]
    assert "this starts recipe 'quick' with 2 stages" in said
    assert "was made with recipe 'micro': `tratree mine-pairs tree@latest`" in said


def test_nothing_is_offered_in_an_empty_store_or_beside_the_same_recipe() -> None:
    wanted = mine_pairs.node(load_recipe("quick"))
    missing = [*wanted.upstream(), wanted]
    same = entry("tree", provenance={"config": {"recipe": "quick"}})
    for held in (Holding(), Holding(same)):
        assert another_recipe(missing, held) == ""  # type: ignore[arg-type]


def test_a_stage_whose_inputs_are_there_offers_nothing_else() -> None:
    only = sft.node(load_recipe("quick"), "weak")
    held = Holding(entry("demos", provenance={"config": {"recipe": "micro"}}))
    assert another_recipe([only], held) == ""  # type: ignore[arg-type]
