"""DPO on pairs that a person brings along, from the base model's own weights and towards them."""

from tratree_cli.methods.method import Method

METHOD = Method(
    name="dpo",
    title="dpo",
    summary="DPO on pairs of your own (--pairs FILE)",
    group="baseline",
    rank=130,
    learns_from="pairs",
    role="strong",
    init="base",
    trainer="preference",
    own_data=True,
)
