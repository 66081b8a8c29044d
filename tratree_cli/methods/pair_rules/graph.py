"""States of a graph (``tree.merge = "graph"``): one state, different actions, any histories.

Values of states over all rollouts of a task are GraphGPO's idea (arXiv 2605.26684), which credits
steps of online training with them; here they choose preference pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tratree_cli.errors import InputError
from tratree_cli.methods.pair_rule import FOR_EVERY_RULE, MiningParameters, PairRule, PairSources
from tratree_cli.settings import note

if TYPE_CHECKING:
    from tratree_cli.trees.graph_pairs import By
    from tratree_cli.trees.pairs import PairSet


@dataclass(frozen=True)
class Settings:
    """What an answer to a state is worth."""

    by: str = note(
        "outcome",
        "outcome: its expected score; distance: `discount` to the power of the steps to a success",
        choices=("outcome", "distance"),
    )
    discount: float = note(0.8, "of one more step, by distance (ours)", above=0, most=1)


RULE = PairRule(
    name="graph",
    summary="the better against the worse action in a state, whichever histories led there",
    sources=("tree",),
    merge="graph",
    reads=("select", "per_node", *FOR_EVERY_RULE),
    settings=Settings,
    body="tratree_cli.methods.pair_rules.graph:mine_states",
    rank=15,
)


def mine_states(sources: PairSources, parameters: MiningParameters) -> PairSet:
    """Pairs at the states that several actions answered."""
    from typing import cast

    from tratree_cli.trees.graph_pairs import mine_graph

    if sources.graph is None or sources.forest is None:
        raise InputError(
            "the pair rule 'graph' takes trees with a state graph; build them with "
            "build-tree --merge graph"
        )
    settings: Settings = parameters.own
    found = mine_graph(
        sources.graph,
        sources.forest,
        by=cast("By", settings.by),
        discount=settings.discount,
        select=parameters.select,
        min_gap=parameters.min_gap,
        min_chosen=parameters.min_chosen,
        keep_invalid=parameters.keep_invalid,
        per_node=parameters.per_node,
        per_kind=parameters.per_kind,
        per_task=parameters.per_task,
        horizons=parameters.horizons,
        seed=parameters.seed,
        kind_of=sources.kinds(),
    )
    return parameters.finished(found, sources, sources.forest.columns)
