"""The ceiling's pairs: a task's demonstration against the strong model's own trajectories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tratree_cli.methods.pair_rule import FOR_EVERY_RULE, MiningParameters, PairRule, PairSources

if TYPE_CHECKING:
    from tratree_cli.trees.pairs import PairSet

RULE = PairRule(
    name="ceiling",
    summary="a task's demonstration against each trajectory of the strong model that scored lower",
    sources=("rollouts", "demos"),
    explorer="strong",
    reads=FOR_EVERY_RULE,
    body="tratree_cli.methods.pair_rules.ceiling:mine_against_expert",
    rank=40,
)


def mine_against_expert(sources: PairSources, parameters: MiningParameters) -> PairSet:
    """Pairs of the demonstrations with the rollouts' trajectories."""
    from tratree_cli.formats.columns import columns_from_rollouts

    assert sources.demos is not None, "the rule takes demonstrations"
    columns = columns_from_rollouts(sources.rollouts)
    experts = columns_from_rollouts(sources.demos)
    found = parameters.whole(columns, sources.kinds(better=sources.demos), experts)
    return parameters.finished(found, sources, columns, experts)
