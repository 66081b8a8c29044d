"""Tree-DPO on a state graph: preferences wherever two actions part in one state."""

from tratree_cli.methods.method import Method

METHOD = Method(
    name="graph-dpo",
    title="graph-DPO",
    summary="DPO where actions part in one state of a graph, across the histories that led there",
    group="main",
    rank=78,
    learns_from="pairs",
    role="strong",
    init="sft",
    trainer="preference",
    pair_rule="graph",
    reference="weak",
    explorer="weak",
    controls=("tree-dpo", "graph-dpo/nll-only", "graph-dpo/sft-more"),
    fixed=("tree.merge",),
    alternative="pairs across histories",
)
