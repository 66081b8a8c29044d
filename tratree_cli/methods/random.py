"""A uniformly random available action at every step: the lower end of the scale."""

from tratree_cli.methods.method import Method

METHOD = Method(
    name="random",
    title="random",
    summary="a random available action at every step",
    group="scale",
    rank=20,
    policy="random",
    theorem=False,
    compared=False,
)
