"""Divergence points of a tree (section 3.2, Eq. 6): one state, different actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tratree_cli.methods.pair_rule import MiningParameters, PairRule, PairSources

if TYPE_CHECKING:
    from tratree_cli.trees.pairs import PairSet

RULE = PairRule(
    name="tree",
    summary="the better against the worse branch where the trajectories of a tree diverge",
    sources=("tree",),
    reads=("select", "per_node", "horizon"),
    body="tratree_cli.methods.pair_rules.tree:mine_divergences",
    rank=10,
)


def mine_divergences(sources: PairSources, parameters: MiningParameters) -> PairSet:
    """Pairs at the divergence points of the forest."""
    from tratree_cli.trees.pairs import mine

    assert sources.forest is not None, "the rule takes trees"
    return mine(
        sources.forest,
        select=parameters.select,
        min_gap=parameters.min_gap,
        per_node=parameters.per_node,
        per_task=parameters.per_task,
        horizon=parameters.horizon,
        seed=parameters.seed,
    )
