"""ETO's pairs: whole trajectories that the strong SFT model explored itself (section 4.1)."""

from tratree_cli.methods.pair_rule import FOR_EVERY_RULE, PairRule

RULE = PairRule(
    name="eto",
    summary="two whole trajectories that the strong model explored itself, by reward",
    sources=("rollouts",),
    explorer="strong",
    reads=FOR_EVERY_RULE,
    body="tratree_cli.methods.pair_rules.unstructured:mine_by_reward",
    rank=30,
)
