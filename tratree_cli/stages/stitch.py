"""Paths through several trajectories, played in the environment: new trajectories of their own.

A new idea, ours. What is proposed (``trees.stitch``) is played step by step with recorded words;
only what the environment ends with a higher score than the task's best recorded trajectory becomes
a trajectory, and all that was played counts as episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.stages.environments import (
    environment_key,
    is_stochastic,
    locations,
)
from tratree_cli.stages.sampling import episodes_progress, rollouts_summary

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.agents.played import PlayedEpisode
    from tratree_cli.agents.policy import Opening, Policy, Turn
    from tratree_cli.agents.rollout import RolloutProgress
    from tratree_cli.envs.protocol import Environment
    from tratree_cli.formats.rollouts import Rollouts

SOURCE = "stitched"
"""The source of the trajectories that were made here."""


@dataclass(frozen=True)
class StitchParameters:
    """``tries`` paths of each task are played."""

    tries: int


STAGE = Stage("stitch", 1, "rollouts", "tratree_cli.stages.stitch:run", StitchParameters)


def node(config: Config, *, tree: Node | Entry) -> Node:
    """Played proposals from the trajectories of a tree; refused where pages or scores are drawn."""
    if is_stochastic(config):
        raise InputError(
            f"mcts.stitch plays paths that nobody walked, and {config.env.name} with these "
            "parameters is not deterministic: what was played once proves nothing; leave it out"
        )
    return Node(
        stage=STAGE,
        label="stitched paths",
        config=config,
        params=StitchParameters(config.mcts.stitch_tries),
        inputs={"tree": (tree,)},
        environment=environment_key(config),
        locations=locations(config),
    )


@dataclass(frozen=True)
class Stitched:
    """All that was ``played``, of which ``better`` beats what was recorded, and by how much (G)."""

    played: Sequence[PlayedEpisode]
    better: Sequence[PlayedEpisode]
    gains: Sequence[float]


def run(job: Job[StitchParameters]) -> Result:
    from tratree_cli.agents.played import interned
    from tratree_cli.envs.registry import open_environment
    from tratree_cli.formats.rollouts import TextTable, read_rollouts, write_rollouts

    rollouts = read_rollouts(job.one("tree").path)
    environment = open_environment(job.environment)
    found = stitched(environment, rollouts, job.params.tries, episodes_progress(job))
    environment.close()
    texts = TextTable()
    made = replace(
        rollouts,
        texts=texts,
        trajectories=[interned(episode, texts) for episode in found.better],
        settings=[{}],
        sources=[SOURCE],
    )
    write_rollouts(made, job.out)
    gains = found.gains
    return Result(
        {
            **rollouts_summary(made.trajectories, tasks=len(found.better)),
            "played": len(found.played),
            "tried_tasks": len({episode.task for episode in found.played}),
            "mean_gain": round(100 * sum(gains) / len(gains), 2) if gains else 0.0,
        }
    )


def stitched(
    environment: Environment,
    rollouts: Rollouts,
    tries: int,
    progress: Callable[[RolloutProgress], None] | None = None,
) -> Stitched:
    """Propose ``tries`` paths of each imperfect task, play them, and tell which are better."""
    from tratree_cli.agents.rollout import EpisodeRequest, play_episodes
    from tratree_cli.envs.protocol import optional
    from tratree_cli.formats.columns import columns_from_rollouts
    from tratree_cli.trees.stitch import proposals

    columns = columns_from_rollouts(rollouts)
    found = proposals(columns, tries)
    words = [[rollouts.texts[output] for output in columns.outputs[list(p.steps)]] for p in found]
    played = play_episodes(
        environment,
        _recorded_words(words),
        [
            EpisodeRequest(columns.tasks[proposal.task], sample=number, seed=number)
            for number, proposal in enumerate(found)
        ],
        prompt=rollouts.prompt.get("messages", ()),
        batch=optional(environment, "concurrent_episodes"),
        progress=progress,
    )
    best = dict.fromkeys(columns.tasks, -1.0)
    for task, score in zip(columns.task.tolist(), columns.score.tolist(), strict=True):
        best[columns.tasks[task]] = max(best[columns.tasks[task]], score)
    better = _better(played, best)
    return Stitched(played, better, [(one.score or 0.0) - best[one.task] for one in better])


def _better(played: Sequence[PlayedEpisode], best: Mapping[str, float]) -> list[PlayedEpisode]:
    """Of each task the best played path, where it went as proposed and beats what was recorded."""
    from tratree_cli.formats.rollouts import DONE
    from tratree_cli.trees.pairs import ROUNDING

    found: dict[str, PlayedEpisode] = {}
    for episode in played:
        rival = found[episode.task].score if episode.task in found else best[episode.task]
        as_proposed = episode.end == DONE and all(episode.valid)
        if as_proposed and (episode.score or 0.0) > (rival or 0.0) + ROUNDING:
            found[episode.task] = episode
    return list(found.values())


def _recorded_words(words: Sequence[Sequence[str]]) -> Policy:
    """Says what was recorded, turn by turn; the conversation of seed n says ``words[n]``."""
    from tratree_cli.agents.scripted import ScriptedPolicy

    def begin(opening: Opening) -> Callable[[Turn], str]:
        said = iter(words[opening.seed])
        # Where it did not end as proposed the last words are repeated, to no avail.
        return lambda turn: next(said, words[opening.seed][-1])

    return ScriptedPolicy(begin)
