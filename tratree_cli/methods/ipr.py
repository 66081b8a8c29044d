"""IPR: preferences at the steps where own trajectories part from the expert's."""

from tratree_cli.methods.method import Method

METHOD = Method(
    name="ipr",
    title="IPR on trees",
    summary="DPO at divergences of the strong model's trajectories and the demonstrations, by "
    "the tree's values (after arXiv 2406.11176)",
    group="baseline",
    rank=106,
    learns_from="pairs",
    role="strong",
    init="sft",
    trainer="preference",
    pair_rule="ipr",
    reference="strong",
    explorer="strong",
    controls=("eto-expert", "ipr/nll-only", "ipr/sft-more"),
)
