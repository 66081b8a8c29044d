"""The trainers, declared: imitation (Eq. 4, 8), the explorer (Eq. 5), DPO (Eq. 6), both at once."""

from tratree_cli.training.trainer import Trainer

IMITATION = Trainer(
    name="imitation",
    summary="the negative log-likelihood of the agent's tokens (Eq. 4 and 8)",
    rows="conversations",
    body="tratree_cli.training.imitation:train",
    version=2,
    rank=10,
)
EXPLORER = Trainer(
    name="explorer",
    summary="imitation that moves away from an earlier model (Eq. 5)",
    rows="conversations",
    body="tratree_cli.training.explorer:train",
    version=2,
    rank=20,
)
PREFERENCE = Trainer(
    name="preference",
    summary="DPO on pairs, near a reference (Eq. 6)",
    rows="pairs",
    body="tratree_cli.training.preference:train",
    reference=True,
    version=3,
    rank=30,
)
JOINT = Trainer(
    name="joint",
    summary="imitation of paths and DPO on pairs in every update",
    rows="conversations and pairs",
    body="tratree_cli.training.joint:train",
    reference=True,
    version=2,
    rank=40,
)
