"""The environment's own expert: the upper end of the scale."""

from tratree_cli.methods.method import Method

METHOD = Method(
    name="expert",
    title="expert",
    summary="the environment's own expert, which writes the demonstrations",
    group="scale",
    rank=10,
    policy="expert",
    theorem=False,
    compared=False,
)
