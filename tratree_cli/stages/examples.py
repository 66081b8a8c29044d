"""What a training learns from, read from the inputs of its node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.formats.pairs import PairMessages
    from tratree_cli.training.trainer import Conversations, Trainer

KINDS = ("demos", "pairs", "paths", "rollouts", "tree")
"""Every kind of artifact that a method may learn from."""


@dataclass(frozen=True)
class Examples:
    """What is learnt from: conversations, preferences, or some of each."""

    conversations: Conversations | None = None
    pairs: Sequence[PairMessages] | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to learn: pairs alone where only these were asked for."""
        first = self.pairs if self.conversations is None else self.conversations
        return bool(first)


def examples_of(job: Job[Any], declared: Trainer, basis: str | None = None) -> tuple[Examples, str]:
    """What the trainer reads, and what it means where there is none of it.

    With ``basis`` only pairs of that basis are read (``formats.pairs.PairRecord``).
    """
    from tratree_cli.formats.pairs import read_pairs
    from tratree_cli.formats.paths import read_paths
    from tratree_cli.training.trainer import Conversations

    read = declared.load_reader()
    role = next((role for role in KINDS if role in job.inputs and role != "pairs"), "")
    examples, reason = Examples(), "no pair is informative"
    if "pairs" in job.inputs:
        pairs = read_pairs(job.one("pairs").path).pairs
        examples = Examples(
            pairs=[pair.messages() for pair in pairs if basis in (None, pair.basis)]
        )
    if role and read is not None:
        settings = declared.settings(**job.params.settings or {}) if declared.settings else None
        conversations = read(job.one(role).path, settings)
        reason = f"trainer {declared.name} found nothing to learn from"
    elif role == "demos":
        conversations = demonstrations_of(job.inputs[role])
        reason = "there are no demonstrations"
    elif role:
        paths = read_paths(job.one(role).path)
        conversations = Conversations([path.messages for path in paths.paths], paths.prefix)
        reason = "no path scores above mcts.min_score"
    else:
        return examples, reason
    return replace(examples, conversations=conversations), reason


def demonstrations_of(entries: Sequence[Entry]) -> Conversations:
    """The demonstrations of several artifacts as conversations; all have one prompt's length."""
    from tratree_cli.formats.rollouts import conversation, read_rollouts
    from tratree_cli.training.trainer import Conversations

    messages: list[Any] = []
    prefix: list[dict[str, str]] = []
    for entry in entries:
        rollouts = read_rollouts(entry.path)
        before = rollouts.prompt.get("messages", [])
        if messages and len(before) != len(prefix):
            raise InputError(
                f"{entry.ref[:20]} has a prompt of {len(before)} messages, the demonstrations "
                f"before it one of {len(prefix)}; train on one kind at a time"
            )
        prefix = before
        messages += [conversation(rollouts, t, prefix) for t in rollouts.trajectories]
    return Conversations(messages, len(prefix))
