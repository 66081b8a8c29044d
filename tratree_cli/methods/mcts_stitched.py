"""W2SG MCTS on trees that were grown by played paths through several trajectories (ours)."""

from tratree_cli.methods.method import Method

METHOD = Method(
    name="mcts-stitched",
    title="W2SG MCTS, stitched",
    summary="W2SG MCTS with paths through several trajectories, played and found better (ours)",
    group="main",
    rank=77,
    learns_from="paths",
    role="strong",
    init="sft",
    trainer="imitation",
    path_rule="stitched",
    explorer="weak",
    controls=("mcts", "best-observed", "mcts-stitched/more-episodes", "sft-more"),
    fixed=("mcts.stitch",),
)
