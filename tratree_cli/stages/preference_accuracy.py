"""What can be measured of Theorem 1: preference accuracy on tasks that nobody trained on.

The weak model explores tasks of a held-out split (dev), the tree's pairs are mined there by the
recipe's own rule, and every trained policy is asked which side it prefers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.stages import build_tree, explore, mine_pairs, sft

if TYPE_CHECKING:
    from tratree_store import Entry


@dataclass(frozen=True)
class PreferenceAccuracyParameters:
    max_length: int


STAGE = Stage(
    "agreement",
    3,
    "agreement",
    "tratree_cli.stages.preference_accuracy:run",
    PreferenceAccuracyParameters,
)
MEASURED = "agreement.json"
SPLIT = "dev"


def held_out_pairs(config: Config) -> Node:
    """Pairs of the weak model's trees on ``report.held_out`` tasks of the dev split."""
    section = replace(config.explore, split=SPLIT, limit=config.report.held_out, explorer="weak")
    elsewhere = replace(config, explore=section)
    # Nothing is trained on it, so the split may be one that is there to evaluate on.
    explored = explore.node(elsewhere, allow_test=True)
    rollouts = replace(explored, label="held-out exploration")
    tree = replace(build_tree.node(elsewhere, rollouts=(rollouts,)), label="held-out trees")
    return replace(mine_pairs.node(elsewhere, rule="tree", trees=(tree,)), label="held-out pairs")


def node(config: Config, policy: Node | Entry, title: str) -> Node:
    """The preference accuracy of ``policy`` on the held-out pairs, against the weak SFT model."""
    return Node(
        stage=STAGE,
        label=f"preference accuracy of {title}",
        config=config,
        params=PreferenceAccuracyParameters(config.sft.of("strong").max_length),
        inputs={
            "policy": (policy,),
            "reference": (sft.node(config, "weak"),),
            "pairs": (held_out_pairs(config),),
        },
    )


def run(job: Job[PreferenceAccuracyParameters]) -> Result:
    import orjson

    from tratree_cli.formats.pairs import read_pairs
    from tratree_cli.stages.training_inputs import training_progress
    from tratree_cli.training.preference_accuracy import preference_accuracy

    pairs = read_pairs(job.one("pairs").path).pairs
    measured = preference_accuracy(
        job.one("policy").path,
        job.one("reference").path,
        [pair.messages() for pair in pairs],
        max_length=job.params.max_length or None,
        threads=job.options.threads,
        progress=training_progress(job),
        device=job.options.device,
    )
    figures = asdict(measured)
    tasks = {pair.messages().identity: pair.task for pair in pairs}
    margins = [(tasks[identity], margin) for identity, margin in figures.pop("margins")]
    document = {**figures, "by_task": preferred_by_task(margins)}
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    (job.out / MEASURED).write_bytes(orjson.dumps(document, option=options))
    warnings = []
    if not pairs:
        warnings.append("no held-out pair is informative; raise report.held_out")
    elif measured.left_out:
        warnings.append(f"{measured.left_out} of {len(pairs)} pairs are too long and left out")
    return Result(figures, warnings=warnings)


def preferred_by_task(margins: Sequence[tuple[str, float]]) -> dict[str, dict[str, float]]:
    """Of each task: its ``pairs``, and how many have a positive margin (ties count half)."""
    by_task: dict[str, list[float]] = {}
    for task, margin in margins:
        by_task.setdefault(task, []).append(margin)
    return {
        task: {"pairs": len(of_task), "preferred": sum((m > 0) + (m == 0) / 2 for m in of_task)}
        for task, of_task in by_task.items()
    }
