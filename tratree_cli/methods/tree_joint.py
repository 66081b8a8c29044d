"""Imitation of e* and the tree's preferences in every optimizer step (ours, not the paper's)."""

from tratree_cli.methods.method import Method

METHOD = Method(
    name="tree-joint",
    title="tree-joint",
    summary="imitation of e* and DPO on the trees' divergence points in every update",
    group="main",
    rank=75,
    learns_from="pairs and paths",
    role="strong",
    init="sft",
    trainer="joint",
    pair_rule="tree",
    reference="weak",
    explorer="weak",
    controls=(
        "tree-joint/mcts",
        "tree-joint/mcts-twice",
        "tree-joint/unstructured",
        "tree-joint/nll-only",
        "tree-joint/swapped",
        "tree-joint/mirror-only",
        "tree-joint/sft-more",
    ),
)
