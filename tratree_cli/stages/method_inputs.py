"""What a method learns from: the artifact that holds it, and the stages that make it by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.methods.method import Method
from tratree_cli.methods.registry import METHODS, method, trained_methods
from tratree_cli.pipeline.graph import Node
from tratree_cli.stages import build_tree, demos, explore, mcts, mine_pairs, skip_preferred
from tratree_cli.training.trainer import Trainer, trainer

if TYPE_CHECKING:
    from tratree_store import Entry

INPUTS = {
    "demonstrations": "demos",
    "pairs": "pairs",
    "paths": "paths",
    "rollouts": "rollouts",
    "trees": "tree",
}
"""What a method learns from → the kind of artifact that holds it, and its role as an input."""


def trained_method(name: str) -> Method:
    """The method of this name; ``InputError`` where there is none, or none that is trained here."""
    record = method(name)
    if not record.trained:
        raise InputError(
            f"method '{name}' is not trained by train-strong; choose one of "
            f"{', '.join(trained_methods())}"
        )
    return record


def trainer_of(record: Method) -> Trainer:
    """The method's trainer; ``InputError`` where it cannot read what the method learns from."""
    declared = trainer(record.trainer)
    if (record.learns_from == "pairs") != (declared.rows == "pairs"):
        raise InputError(
            f"method '{record.name}' learns from {record.learns_from}, but its trainer "
            f"'{declared.name}' reads {declared.rows}; correct one of the two records"
        )
    if record.learns_from in ("rollouts", "trees") and not declared.read:
        raise InputError(
            f"method '{record.name}' learns from {record.learns_from}, so the record of its "
            f"trainer '{declared.name}' needs a reader (read=)"
        )
    return declared


def input_kind(name: str) -> str:
    """The kind of artifact that a method is trained on."""
    return INPUTS[trained_method(name).learns_from]


def method_of(entry: Entry) -> str:
    """The method that an artifact asks for: the first that learns from such a one."""
    for record in METHODS.records():
        if record.trained and _learns_from(record, entry):
            return record.name
    raise InputError(f"no method learns from {entry.ref[:20]} by itself; choose one with --method")


def _learns_from(record: Method, entry: Entry) -> bool:
    if INPUTS[record.learns_from] != entry.kind:
        return False
    params = entry.document["params"]
    if entry.kind == "pairs":
        return record.pair_rule == _rule_of(entry)
    if entry.kind == "paths":
        observed = str(params.get("select")) == mcts.BEST_OBSERVED
        return observed == (record.path_rule == mcts.BEST_OBSERVED)
    return True


def _rule_of(pairs: Entry) -> str:
    """The rule that pairs were mined by; empty for pairs from elsewhere."""
    if pairs.stage == "import":
        return ""
    if pairs.stage == skip_preferred.STAGE.name:
        return str(pairs.summary["rule"])
    return str(pairs.document["params"].get("rule", "tree"))


def learned_from(config: Config, record: Method) -> Node:
    """The default producer of what a method learns from."""
    if record.own_data:
        raise InputError(
            f"method '{record.name}' trains on pairs of your own; give them with --pairs FILE"
        )
    if record.learns_from == "demonstrations":
        return demos.node(config)
    explorer = "strong" if record.own_exploration else ""
    if record.learns_from == "pairs":
        return mine_pairs.node(config, rule=record.pair_rule, explorer=explorer)
    rollouts = explore.node(config, explorer=explorer)
    if record.learns_from == "rollouts":
        return rollouts
    trees = build_tree.node(config, rollouts=(rollouts,))
    if record.learns_from == "trees":
        return trees
    return mcts.node(config, select=record.path_rule, trees=(trees,))


def paths_of_equal_steps(config: Config, record: Method) -> Node:
    """The paths whose imitation takes as many optimizer steps as ``record`` is to take."""
    counted = method(record.steps_of)
    if counted.learns_from != "paths":
        raise InputError(
            f"method '{record.name}' takes the steps of '{counted.name}', which learns from "
            f"{counted.learns_from}; only the steps of a method that learns from paths are known"
        )
    return learned_from(config, counted)
