"""Divergence points of a tree (section 3.2, Eq. 6): one state, different actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tratree_cli.methods.pair_rule import FOR_EVERY_RULE, MiningParameters, PairRule, PairSources

if TYPE_CHECKING:
    from tratree_cli.trees.pairs import PairSet

RULE = PairRule(
    name="tree",
    summary="the better against the worse branch where the trajectories of a tree diverge",
    sources=("tree",),
    reads=("select", "per_node", "tie_break", *FOR_EVERY_RULE),
    body="tratree_cli.methods.pair_rules.tree:mine_divergences",
    rank=10,
)


def mine_divergences(sources: PairSources, parameters: MiningParameters) -> PairSet:
    """Pairs at the divergence points of the forest."""
    from tratree_cli.trees.divergence_pairs import mine

    assert sources.forest is not None, "the rule takes trees"
    found = mine(
        sources.forest,
        select=parameters.select,
        min_gap=parameters.min_gap,
        min_chosen=parameters.min_chosen,
        keep_invalid=parameters.keep_invalid,
        tie_break=parameters.tie_break,
        per_node=parameters.per_node,
        per_kind=parameters.per_kind,
        per_task=parameters.per_task,
        horizons=parameters.horizons,
        seed=parameters.seed,
        kind_of=sources.kinds(),
    )
    return parameters.finished(found, sources, sources.forest.columns)
