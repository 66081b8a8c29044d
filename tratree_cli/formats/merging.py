"""Several artifacts of rollouts into one, so that a forest may be grown from several models.

Texts, settings and sources are numbered anew, in the order of the artifacts. What changes in a
trajectory is a ``Shift``, which trajectories in memory and lines of a file both go through.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import Rollouts, Trajectory, current_fields


@dataclass(frozen=True)
class Shift:
    """How the numbers of one artifact change; ``texts[n]`` is the new number of its text n.

    ``texts`` is None where texts keep their numbers, as those of the first artifact do.
    """

    texts: array[int] | None
    settings: int
    sources: int

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a trajectory, moved."""
        if "tokens" in record:
            record = current_fields(record)
        moved = {
            **record,
            "setting": record["setting"] + self.settings,
            "source": record["source"] + self.sources,
        }
        if self.texts is not None:
            texts = self.texts
            for name in ("observations", "outputs", "thoughts", "actions"):
                moved[name] = tuple([texts[n] if n >= 0 else n for n in record[name]])
            instruction = record["instruction"]
            moved["instruction"] = texts[instruction] if instruction >= 0 else instruction
        return moved


def merge_heads(heads: Sequence[Rollouts]) -> tuple[Rollouts, list[Shift]]:
    """Everything but the trajectories, and how those of each artifact move.

    Raises InputError when the artifacts are of different environments or were sampled with
    different prompts.
    """
    if not heads:
        raise InputError("there are no rollouts to build from")
    head = heads[0]
    for added in heads[1:]:
        if _environment_key(added) != _environment_key(head):
            raise InputError(
                "the rollouts come from different environments or data; build one tree from each"
            )
        if _said(added.prompt) != _said(head.prompt):
            raise InputError("the rollouts were sampled with different prompts; merge equal ones")
    texts = head.texts.copy()
    settings = list(head.settings)
    sources = list(head.sources)
    shifts = [Shift(None, 0, 0)]
    for added in heads[1:]:
        numbers = array("q", map(texts.intern, added.texts.texts))
        shifts.append(Shift(numbers, len(settings), len(sources)))
        settings.extend(added.settings)
        sources.extend(added.sources)
    split = head.split if len({artifact.split for artifact in heads}) == 1 else "mixed"
    merged = replace(
        head, texts=texts, trajectories=(), settings=settings, sources=sources, split=split
    )
    return merged, shifts


def merge_rollouts(artifacts: Sequence[Rollouts]) -> Rollouts:
    """One set of rollouts from several in memory, in their order."""
    head, shifts = merge_heads(artifacts)
    trajectories = [
        Trajectory(**shift(vars(trajectory)))
        for artifact, shift in zip(artifacts, shifts, strict=True)
        for trajectory in artifact.trajectories
    ]
    return replace(head, trajectories=trajectories)


def _said(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """The prompt without what is empty: demonstrations name a prompt of no messages."""
    return {name: value for name, value in prompt.items() if value}


def _environment_key(rollouts: Rollouts) -> object:
    environment = dict(rollouts.environment)
    environment.pop("data", None)  # a folder's path is no identity, its digest is
    return environment
