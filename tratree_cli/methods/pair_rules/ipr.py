"""IPR's pairs on a tree: where the model's own trajectories part from the expert's, and further on.

Xiong et al., 2024 (arXiv 2406.11176) let the model act once at every step of the demonstration,
estimate what each such step is worth by five rollouts from there, and prefer the better of the two
continuations where both the steps' values and the final rewards differ. Here the steps are those
that recorded trajectories share: the trees hold the model's own explorations and the
demonstrations, and a step is worth the mean reward of the trajectories through it. No episode
begins in the middle of another. A divergence of two own trajectories makes a pair as well.
"""

from tratree_cli.methods.pair_rule import FOR_EVERY_RULE, PairRule

RULE = PairRule(
    name="ipr",
    summary="divergences of trees of the strong model's trajectories and the demonstrations",
    sources=("tree",),
    with_demonstrations=True,
    explorer="strong",
    reads=("select", "per_node", "tie_break", *FOR_EVERY_RULE),
    body="tratree_cli.methods.pair_rules.tree:mine_divergences",
    rank=34,
)
