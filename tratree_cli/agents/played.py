"""A finished episode with its texts: what the rollout loop gives and a shard file holds.

Texts are numbered once, when all episodes of an artifact are put together (``interned``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tratree_cli.formats.agent_text import parse
from tratree_cli.formats.rollouts import TextTable, Trajectory


@dataclass(frozen=True)
class PlayedEpisode:
    """The fields of a ``Trajectory`` as texts; thoughts and actions are read from the outputs."""

    task: str
    sample: int
    setting: int
    source: int
    seed: int
    instruction: str
    observations: tuple[str, ...]
    outputs: tuple[str, ...]
    scores: tuple[float, ...]
    valid: tuple[bool, ...]
    score: float | None
    success: bool
    end: str
    sampled_tokens: int = 0
    detail: str = ""


def interned(episode: PlayedEpisode, texts: TextTable) -> Trajectory:
    """The episode with its texts numbered in ``texts``, in the order in which they occurred."""
    instruction = texts.intern(episode.instruction)
    observations, outputs, thoughts, actions = [], [], [], []
    for turn, observation in enumerate(episode.observations):
        observations.append(texts.intern(observation))
        if turn < len(episode.outputs):
            output = episode.outputs[turn]
            thought, action = parse(output)
            outputs.append(texts.intern(output))
            thoughts.append(-1 if thought is None else texts.intern(thought))
            actions.append(-1 if action is None else texts.intern(action))
    return Trajectory(
        task=episode.task,
        sample=episode.sample,
        setting=episode.setting,
        source=episode.source,
        seed=episode.seed,
        instruction=instruction,
        observations=tuple(observations),
        outputs=tuple(outputs),
        thoughts=tuple(thoughts),
        actions=tuple(actions),
        scores=episode.scores,
        valid=episode.valid,
        score=episode.score,
        success=episode.success,
        end=episode.end,
        sampled_tokens=episode.sampled_tokens,
        detail=episode.detail,
    )


def episode_from(record: Mapping[str, Any]) -> PlayedEpisode:
    """An episode from the JSON record of its fields."""
    fields = dict(record)
    for name in ("observations", "outputs", "scores", "valid"):
        fields[name] = tuple(fields[name])
    return PlayedEpisode(**fields)
