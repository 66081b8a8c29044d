"""The weak model after SFT on the demonstrations (Eq. 4): the explorer, and the gap's lower end."""

from tratree_cli.methods.method import Method, PaperPlaces

METHOD = Method(
    name="sft-weak",
    title="SFT weak",
    summary="the weak model after SFT on the demonstrations (Eq. 4)",
    group="scale",
    rank=30,
    learns_from="demonstrations",
    role="weak",
    init="base",
    trainer="imitation",
    theorem=False,
    paper=PaperPlaces(table_1=1, tables_2_4_8=1, tables_6_7=1, figure_3=1, figure_5=1),
)
