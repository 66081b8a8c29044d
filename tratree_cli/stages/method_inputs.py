"""What a method learns from: the artifact that holds it, and the stages that make it by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.methods.method import Method
from tratree_cli.methods.registry import METHODS, method, trained_methods
from tratree_cli.pipeline.graph import Node
from tratree_cli.stages import build_tree, demos, explore, mcts, mine_pairs, skip_preferred
from tratree_cli.training.trainer import Rows, Trainer, trainer

if TYPE_CHECKING:
    from tratree_store import Entry

INPUTS: dict[str, tuple[str, ...]] = {
    "demonstrations": ("demos",),
    "pairs": ("pairs",),
    "paths": ("paths",),
    "pairs and paths": ("pairs", "paths"),
    "rollouts": ("rollouts",),
    "trees": ("tree",),
}
"""What a method learns from → the kinds of artifact that hold it, and their roles as inputs."""
ROWS: dict[str, Rows] = {"pairs": "pairs", "pairs and paths": "conversations and pairs"}
"""What a method learns from → the rows of its trainer, where these are not conversations."""


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
    if ROWS.get(record.learns_from, "conversations") != declared.rows:
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


def input_kinds(name: str) -> tuple[str, ...]:
    """The kinds of artifact that a method is trained on."""
    return INPUTS[trained_method(name).learns_from]


def method_of(entries: Sequence[Entry]) -> str:
    """The method that artifacts ask for: the first that learns from just such ones."""
    kinds = sorted(entry.kind for entry in entries)
    for record in METHODS.records():
        asks = record.trained and sorted(INPUTS[record.learns_from]) == kinds
        if asks and all(_learns_from(record, entry) for entry in entries):
            return record.name
    given = " and ".join(entry.ref[:20] for entry in entries)
    raise InputError(f"no method learns from {given} by itself; choose one with --method")


def _learns_from(record: Method, entry: Entry) -> bool:
    params = entry.document["params"]
    if entry.kind == "pairs":
        return record.pair_rule == _rule_of(entry)
    if entry.kind == "paths":
        stitched = mcts.STITCHED if params.get("stitch") else ""
        observed = mcts.BEST_OBSERVED if params.get("select") == mcts.BEST_OBSERVED else stitched
        return record.path_rule == observed
    return True


def _rule_of(pairs: Entry) -> str:
    """The rule that pairs were mined by; empty for pairs from elsewhere."""
    if pairs.stage == "import":
        return ""
    if pairs.stage == skip_preferred.STAGE.name:
        return str(pairs.summary["rule"])
    return str(pairs.document["params"].get("rule", "tree"))


def learned_from(
    config: Config, record: Method, kind: str, explored: Sequence[Node | Entry] = ()
) -> Node | Entry:
    """The default producer of an artifact of ``kind`` that the method learns from.

    ``explored`` takes the place of the exploration that it would be made from.
    """
    if record.own_data:
        raise InputError(
            f"method '{record.name}' trains on pairs of your own; give them with --pairs FILE"
        )
    if kind == "demos":
        return demos.node(config)
    explorer = "strong" if record.own_exploration else ""
    if record.more_samples:
        samples = config.explore.m + record.more_samples
        config = config.with_values({"explore": {"m": samples}}, f"method {record.name}")
    if kind == "pairs":
        if record.of_pairs == "mirror":
            config = config.with_values({"pairs": {"mirror": True}}, f"method {record.name}")
        return mine_pairs.node(config, rule=record.pair_rule, explorer=explorer, rollouts=explored)
    rollouts = explored or (explore.node(config, explorer=explorer),)
    if kind == "rollouts":
        (only,) = rollouts
        return only
    trees = build_tree.node(config, rollouts=rollouts)
    if kind == "tree":
        return trees
    return mcts.node(config, select=record.path_rule, trees=(trees,))
