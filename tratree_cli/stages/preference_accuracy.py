"""What can be measured of Theorem 1: a policy's agreement with pairs from tasks nobody trained on.

The weak model explores tasks of a held-out split (dev), the tree's pairs are mined there by the
recipe's own rule, and every trained policy is asked which side it prefers.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.stages import build_tree, explore, mine_pairs, sft

if TYPE_CHECKING:
    from tratree_store import Entry

STAGE = Stage("agreement", 1, "agreement", "tratree_cli.stages.preference_accuracy:run")
MEASURED = "agreement.json"
SPLIT = "dev"
NOT_MEASURED = ("expert", "random", "sft-weak", "best-of-n")
"""Policies without weights of their own to ask, and the reference itself."""


def held_out_pairs(config: Config) -> Node:
    """Pairs of the weak model's trees on ``report.held_out`` tasks of the dev split."""
    section = replace(config.explore, split=SPLIT, tasks=config.report.held_out, explorer="weak")
    elsewhere = replace(config, explore=section)
    rollouts = replace(explore.node(elsewhere), label="held-out exploration")
    tree = replace(build_tree.node(elsewhere, rollouts=(rollouts,)), label="held-out trees")
    return replace(mine_pairs.node(elsewhere, rule="tree", trees=(tree,)), label="held-out pairs")


def node(config: Config, policy: Node | Entry, title: str) -> Node:
    """The agreement of ``policy`` with the held-out pairs, against the weak SFT model."""
    return Node(
        stage=STAGE,
        label=f"agreement of {title}",
        config=config,
        params={"max_length": config.sft.max_length},
        inputs={
            "policy": (policy,),
            "reference": (sft.node(config, "weak"),),
            "pairs": (held_out_pairs(config),),
        },
    )


def run(job: Job) -> Result:
    import orjson

    from tratree_cli.formats.pairs import read_pairs
    from tratree_cli.stages.training_inputs import training_progress
    from tratree_cli.training.preference_accuracy import agreement

    pairs = read_pairs(job.one("pairs").path).pairs
    measured = agreement(
        job.one("policy").path,
        job.one("reference").path,
        [pair.messages() for pair in pairs],
        max_length=job.params["max_length"] or None,
        threads=job.options.threads,
        progress=training_progress(job),
        device=job.options.device,
    )
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    (job.out / MEASURED).write_bytes(orjson.dumps(asdict(measured), option=options))
    warnings = []
    if not pairs:
        warnings.append("no held-out pair is informative; raise report.held_out")
    elif measured.left_out:
        warnings.append(f"{measured.left_out} of {len(pairs)} pairs are too long and left out")
    return Result(asdict(measured), warnings=warnings)
