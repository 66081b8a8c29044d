"""Rejection sampling: imitate those explorations of the weak model that scored well enough."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tratree_cli.methods.method import Method
from tratree_cli.training.params import Progress, SFTParams, TrainingResult
from tratree_cli.training.trainer import Conversations, Trainer, TrainingTask


@dataclass(frozen=True)
class Settings:
    least_score: float = 0.9


METHOD = Method(
    name="rejection-sampling",
    title="rejection sampling",
    summary="imitation of the weak model's explorations that scored well enough",
    group="baseline",
    learns_from="rollouts",
    role="strong",
    init="sft",
    trainer="accepted-only",
    explorer="weak",
)
TRAINER = Trainer(
    name="accepted-only",
    summary="imitation of trajectories above a score",
    rows="conversations",
    body="rejection_sampling:train",
    read="rejection_sampling:accepted",
    settings=Settings,
)


def accepted(folder: Path, settings: Settings) -> Conversations:
    """The trajectories in a rollouts artifact with at least the score of the settings."""
    from tratree_cli.formats.rollouts import conversation, read_rollouts

    rollouts = read_rollouts(folder)
    prefix = rollouts.prompt.get("messages", [])
    kept = [
        conversation(rollouts, trajectory, prefix)
        for trajectory in rollouts.trajectories
        if trajectory.counted and (trajectory.score or 0.0) >= settings.least_score
    ]
    return Conversations(kept, len(prefix))


def train(task: TrainingTask[object, SFTParams], progress: Progress) -> TrainingResult:
    """Imitation as it is; any loss could stand here."""
    from tratree_cli.training.imitation import train as imitate

    return imitate(task, progress)
