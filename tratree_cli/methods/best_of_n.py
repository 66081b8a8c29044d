"""The strong SFT model with N sampled episodes per task, of which the best counts (section 4.1)."""

from tratree_cli.methods.method import Method, PaperPlaces

METHOD = Method(
    name="best-of-n",
    title="SFT strong, best of N",
    numbered_title="SFT strong, best of {n}",
    summary="the best of 8 sampled episodes of the strong SFT model, chosen by reward",
    group="baseline",
    rank=110,
    learns_from="demonstrations",
    role="strong",
    init="base",
    trainer="imitation",
    best_of=8,
    fixed=("eval.samples", "eval.temperature"),
    theorem=False,
    paper=PaperPlaces(table_1=6),
)
