"""ETO: DPO on the strong SFT model's own exploration, the higher reward preferred."""

from tratree_cli.methods.method import Method, PaperPlaces

METHOD = Method(
    name="eto",
    title="ETO",
    summary="DPO on the strong model's own explorations, the higher reward preferred",
    group="baseline",
    rank=100,
    learns_from="pairs",
    role="strong",
    init="sft",
    trainer="preference",
    pair_rule="eto",
    reference="strong",
    explorer="strong",
    controls=("eto/nll-only", "eto/sft-more"),
    paper=PaperPlaces(table_1=5),
)
