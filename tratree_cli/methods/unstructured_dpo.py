"""DPO on whole trajectories paired by reward alone (Table 5): what the tree adds to the pairs."""

from tratree_cli.methods.method import Method, PaperPlaces

METHOD = Method(
    name="unstructured-dpo",
    title="unstructured DPO",
    summary="DPO on whole trajectories of the weak model, paired by reward alone (Table 5)",
    group="control",
    rank=80,
    learns_from="pairs",
    role="strong",
    init="sft",
    trainer="preference",
    pair_rule="unstructured",
    reference="weak",
    explorer="weak",
    alternative="pairing episodes by reward alone",
    controls=("unstructured-dpo/nll-only", "unstructured-dpo/sft-more"),
    paper=PaperPlaces(table_5=2),
)
