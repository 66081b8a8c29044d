"""W2SG tree-DPO (Eq. 6): preferences at the divergence points of the weak model's trees."""

from tratree_cli.methods.method import Method, PaperPlaces

METHOD = Method(
    name="tree-dpo",
    title="W2SG tree-DPO",
    summary="DPO on the divergence points of the weak model's trees (Eq. 6)",
    group="main",
    rank=60,
    learns_from="pairs",
    role="strong",
    init="sft",
    trainer="preference",
    pair_rule="tree",
    reference="weak",
    explorer="weak",
    controls=("unstructured-dpo", "tree-dpo/nll-only", "tree-dpo/sft-more"),
    paper=PaperPlaces(
        table_1=2,
        tables_2_4_8=3,
        table_3=1,
        table_5=3,
        tables_6_7=2,
        figure_3=3,
        figure_4=1,
        figure_5=3,
    ),
)
