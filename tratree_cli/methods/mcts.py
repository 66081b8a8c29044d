"""W2SG MCTS (Eq. 7 and 8): imitation of the path e* that a search finds in each of the trees."""

from tratree_cli.methods.method import Method, PaperPlaces

METHOD = Method(
    name="mcts",
    title="W2SG MCTS",
    summary="imitation of the paths that a search finds in the weak model's trees (Eq. 7 and 8)",
    group="main",
    rank=70,
    learns_from="paths",
    role="strong",
    init="sft",
    trainer="imitation",
    explorer="weak",
    controls=("best-observed", "sft-more"),
    paper=PaperPlaces(
        table_1=3,
        tables_2_4_8=4,
        table_3=2,
        table_5=4,
        tables_6_7=3,
        figure_3=4,
        figure_4=2,
        figure_5=4,
    ),
)
