"""ETO as its authors published it: DPO on the expert's trajectories and the model's own.

``eto`` is the paper's baseline, which pairs the model's own explorations with each other.
"""

from tratree_cli.methods.method import Method

METHOD = Method(
    name="eto-expert",
    title="ETO as published",
    summary="DPO on the expert's trajectory and the strong model's own, the higher reward "
    "preferred (arXiv 2403.02502)",
    group="baseline",
    rank=102,
    learns_from="pairs",
    role="strong",
    init="sft",
    trainer="preference",
    pair_rule="eto-expert",
    reference="strong",
    explorer="strong",
    controls=("eto-expert/nll-only", "eto-expert/sft-more"),
)
