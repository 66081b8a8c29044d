"""Seconds by stage, in the order of the pipeline."""

from __future__ import annotations

from collections.abc import Sequence

from tratree_cli.display.blocks import SECONDS, TEXT, Cell, Column, Row, Table
from tratree_cli.reporting.policy_cost import PolicyCost

PIPELINE = (
    "demos",
    "sft",
    "sft-auto",
    "explore",
    "build-tree",
    "mine-pairs",
    "mcts",
    "ref-logps",
    "skip-preferred",
    "train-strong",
    "eval",
)
"""Stages in the order in which they feed each other; others stand before them."""


def table(costs: Sequence[PolicyCost]) -> Table:
    """One row a policy, one column a stage that took part in any."""
    known = dict.fromkeys(stage for cost in costs for stage in cost.seconds_by_stage)
    stages = sorted(known, key=lambda name: PIPELINE.index(name) if name in PIPELINE else -1)
    return Table(
        key="stages",
        title="Seconds by stage",
        columns=(Column("Policy", TEXT), *(Column(stage, SECONDS) for stage in stages)),
        rows=tuple(
            Row(
                (
                    Cell(cost.label),
                    *(Cell(cost.seconds_by_stage.get(stage) or None) for stage in stages),
                )
            )
            for cost in costs
        ),
        notes=("Wall-clock as recorded, also where the machine was shared. Means over seeds.",),
    )
