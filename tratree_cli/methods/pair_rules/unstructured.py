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
    from tratree_cli.trees.trajectory_pairs import mine_whole

    columns = columns_from_rollouts(sources.rollouts)
    found = mine_whole(
        columns,
        min_gap=parameters.min_gap,
        min_chosen=parameters.min_chosen,
        keep_invalid=parameters.keep_invalid,
        per_kind=parameters.per_kind,
        per_task=parameters.per_task,
        horizons=parameters.horizons,
        seed=parameters.seed,
        kind_of=sources.kinds(),
    )
    return parameters.finished(found, sources, columns)
