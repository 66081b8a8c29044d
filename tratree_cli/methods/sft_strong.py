"""The strong model after SFT on the demonstrations (Eq. 4): the baseline of every comparison."""

from tratree_cli.methods.method import Method, PaperPlaces

METHOD = Method(
    name="sft-strong",
    title="SFT strong",
    summary="the strong model after SFT on the demonstrations (Eq. 4), the baseline",
    group="baseline",
    rank=40,
    learns_from="demonstrations",
    role="strong",
    init="base",
    trainer="imitation",
    compared=False,
    alternative="its start",
    paper=PaperPlaces(table_1=4, tables_2_4_8=2, table_5=1, figure_3=2, figure_5=2),
)
