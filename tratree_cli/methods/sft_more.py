"""More SFT steps on the same demonstrations: what W2SG MCTS would gain by its updates alone."""

from tratree_cli.methods.method import Method

METHOD = Method(
    name="sft-more",
    title="SFT strong, more updates",
    numbered_title="SFT strong, +{n} updates",
    summary="SFT continued on the demonstrations for as many updates as mcts takes",
    group="control",
    rank=50,
    learns_from="demonstrations",
    role="strong",
    init="sft",
    trainer="imitation",
    explorer="weak",
    steps_of="mcts",
    alternative="more training alone",
)
