"""Imitation of each task's best recorded trajectory: what the search adds to the selection."""

from tratree_cli.methods.method import Method

METHOD = Method(
    name="best-observed",
    title="best observed",
    summary="imitation of the best trajectory that the weak model played of each task",
    group="control",
    rank=90,
    learns_from="paths",
    role="strong",
    init="sft",
    trainer="imitation",
    path_rule="best-observed",
    explorer="weak",
    fixed=("mcts.select",),
    alternative="imitation of the best observed episodes",
)
