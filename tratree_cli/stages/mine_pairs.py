"""Preference pairs: divergences of the tree (Eq. 6) and the baselines' rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.stages import build_tree, demos, explore

if TYPE_CHECKING:
    from tratree_store import Entry

STAGE = Stage("mine-pairs", 1, "pairs", "tratree_cli.stages.mine_pairs:run")


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


def run(job: Job) -> Result:
    from tratree_cli.formats.columns import columns_from_rollouts
    from tratree_cli.formats.merging import merge_rollouts
    from tratree_cli.formats.pairs import render_pairs, write_pairs
    from tratree_cli.formats.rollouts import read_rollouts
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.trees.pairs import mine, mine_whole

    params = dict(job.params)
    demonstrations = None
    if params["rule"] == "tree":
        tree = read_tree(job.one("tree").path)
        rollouts = tree.rollouts
        found = mine(tree.forest, **params)
    else:
        rollouts = merge_rollouts([read_rollouts(e.path) for e in job.inputs["rollouts"]])
        if "demos" in job.inputs:
            demonstrations = merge_rollouts([read_rollouts(e.path) for e in job.inputs["demos"]])
        found = mine_whole(
            columns_from_rollouts(rollouts),
            demos=columns_from_rollouts(demonstrations) if demonstrations else None,
            **params,
        )
    dropped = {reason: count for reason, count in found.dropped.items() if count}
    write_pairs(
        render_pairs(found, rollouts, demonstrations),
        job.out,
        meta={"rule": params["rule"], "dropped": dropped, "divergences": found.divergences},
    )
    gaps = [pair.gap for pair in found.pairs]
    summary = {
        "pairs": len(found.pairs),
        "tasks_with_pairs": len({pair.task for pair in found.pairs}),
        "divergences": found.divergences,
        "mean_gap": round(sum(gaps) / len(gaps), 3) if gaps else 0.0,
        "dropped": dropped,
    }
    return Result(summary, warnings=[] if found.pairs else [_uninformative(params)])


def _uninformative(params: dict[str, object]) -> str:
    """The failure-safe case of section 3.3, and what a person can change about it."""
    return (
        f"no pair differs by more than {params['min_gap']} in score, so training on these would "
        "leave the strong model as it is; explore more (-m), at a higher --temperature, or lower "
        "--min-gap"
    )
