"""The ceiling model: DPO with the expert preferred to the strong model's own exploration."""

from tratree_cli.methods.method import Method, PaperPlaces

METHOD = Method(
    name="ceiling",
    title="ceiling",
    summary="DPO with the expert preferred to the strong model's own explorations",
    group="scale",
    rank=120,
    learns_from="pairs",
    role="strong",
    init="sft",
    trainer="preference",
    pair_rule="ceiling",
    reference="strong",
    explorer="strong",
    controls=("ceiling/nll-only", "ceiling/sft-more"),
    paper=PaperPlaces(table_1=7),
)
