"""Whole trajectories of one task, paired by reward alone (Table 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tratree_cli.methods.pair_rule import MiningParameters, PairRule, PairSources

if TYPE_CHECKING:
    from tratree_cli.trees.pairs import PairSet

RULE = PairRule(
    name="unstructured",
    summary="two whole trajectories of one task, paired by reward alone",
    sources=("rollouts",),
    body="tratree_cli.methods.pair_rules.unstructured:mine_by_reward",
    rank=20,
)


def mine_by_reward(sources: PairSources, parameters: MiningParameters) -> PairSet:
    """Pairs of the rollouts' trajectories."""
    from tratree_cli.formats.columns import columns_from_rollouts
    from tratree_cli.trees.pairs import mine_whole

    return mine_whole(
        columns_from_rollouts(sources.rollouts),
        min_gap=parameters.min_gap,
        per_task=parameters.per_task,
        seed=parameters.seed,
    )
