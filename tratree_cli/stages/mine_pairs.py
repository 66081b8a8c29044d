"""Preference pairs: divergences of the tree (Eq. 6) and the baselines' rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.stages import build_tree, demos, explore
from tratree_cli.stages.graph import Node, Stage

if TYPE_CHECKING:
    from tratree_store import Entry

STAGE = Stage("mine-pairs", 1, "pairs", "tratree_cli.stages.mine_pairs:run")
RULES = ("tree", "unstructured", "eto", "ceiling")


def node(
    config: Config,
    *,
    rule: str = "",
    trees: Sequence[Node | Entry] | None = None,
    rollouts: Sequence[Node | Entry] | None = None,
    demonstrations: Sequence[Node | Entry] | None = None,
) -> Node:
    """Pairs by ``rule`` (default: the configuration's), each with its own inputs and producers."""
    rule = rule or config.pairs.rule
    if rule not in RULES:
        raise InputError(
            f"there is no pair rule '{rule}'{did_you_mean(rule, RULES)}; "
            f"there are {', '.join(RULES)}"
        )
    inputs: dict[str, Sequence[Node | Entry]]
    if rule == "tree":
        inputs = {"tree": tuple(trees or (build_tree.node(config),))}
    else:
        # ETO and the ceiling compare what the strong SFT model itself explored (section 4.1).
        explorer = "" if rule == "unstructured" else "strong"
        inputs = {"rollouts": tuple(rollouts or (explore.node(config, explorer=explorer),))}
        if rule == "ceiling":
            inputs["demos"] = tuple(demonstrations or (demos.node(config),))
    params = {**asdict(config.pairs), "rule": rule, "seed": config.seed}
    if rule != "tree":
        params = {k: params[k] for k in ("rule", "min_gap", "per_task", "seed")}
    return Node(
        stage=STAGE,
        label=f"{rule} pairs",
        config=config,
        params=params,
        inputs=inputs,
    )
