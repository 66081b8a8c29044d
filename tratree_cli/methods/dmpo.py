"""DMPO: ETO's pairs with a loss that weighs turns and normalises by their number."""

from tratree_cli.methods.method import Method

METHOD = Method(
    name="dmpo",
    title="DMPO",
    summary="the pairs of eto-expert with later turns discounted by 0.7 (arXiv 2406.14868)",
    group="baseline",
    rank=104,
    learns_from="pairs",
    role="strong",
    init="sft",
    trainer="preference",
    pair_rule="eto-expert",
    reference="strong",
    explorer="strong",
    turn_discount=0.7,
    controls=("eto-expert", "dmpo/nll-only", "dmpo/sft-more"),
)
