"""Whole trajectories of one task, paired by reward alone (Table 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tratree_cli.methods.pair_rule import FOR_EVERY_RULE, MiningParameters, PairRule, PairSources

if TYPE_CHECKING:
    from tratree_cli.trees.pairs import PairSet

RULE = PairRule(
    name="unstructured",
    summary="two whole trajectories of one task, paired by reward alone",
    sources=("rollouts",),
    reads=FOR_EVERY_RULE,
    body="tratree_cli.methods.pair_rules.unstructured:mine_by_reward",
    rank=20,
)


def mine_by_reward(sources: PairSources, parameters: MiningParameters) -> PairSet:
    """Pairs of the rollouts' trajectories."""
    from tratree_cli.formats.columns import columns_from_rollouts

    columns = columns_from_rollouts(sources.rollouts)
    found = parameters.whole(columns, sources.kinds())
    return parameters.finished(found, sources, columns)
