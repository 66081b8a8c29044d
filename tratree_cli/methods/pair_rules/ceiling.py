"""The ceiling's pairs: a task's demonstration against the strong model's own trajectories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tratree_cli.methods.pair_rule import MiningParameters, PairRule, PairSources

if TYPE_CHECKING:
    from tratree_cli.trees.pairs import PairSet

RULE = PairRule(
    name="ceiling",
    summary="a task's demonstration against each trajectory of the strong model that scored lower",
    sources=("rollouts", "demos"),
    explorer="strong",
    body="tratree_cli.methods.pair_rules.ceiling:mine_against_expert",
    rank=40,
)


def mine_against_expert(sources: PairSources, parameters: MiningParameters) -> PairSet:
    """Pairs of the demonstrations with the rollouts' trajectories."""
    from tratree_cli.formats.columns import columns_from_rollouts
    from tratree_cli.trees.pairs import mine_whole

    assert sources.demos is not None, "the rule takes demonstrations"
    return mine_whole(
        columns_from_rollouts(sources.rollouts),
        demos=columns_from_rollouts(sources.demos),
        min_gap=parameters.min_gap,
        per_task=parameters.per_task,
        seed=parameters.seed,
    )
