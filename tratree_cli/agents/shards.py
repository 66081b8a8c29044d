"""Exploring a plan: play the shards that are missing, on any engine, and merge all in one order.

Engines only differ in where a shard is played. The caller's process alone writes shard files, so an
engine returns bytes and opens no folder; killing anything at any time costs the shards in
flight and no more. The merge reads finished shards in the plan's canonical order (task, source,
sample), so its result is the same bytes however the shards came about.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tratree_cli.agents.played import PlayedEpisode, interned
from tratree_cli.agents.policy import Message
from tratree_cli.agents.rollout import OnProgress, RolloutProgress
from tratree_cli.agents.sampling_plan import SamplingPlan, Shard
from tratree_cli.agents.shard_files import ShardFolder
from tratree_cli.agents.shard_player import PolicySource, RolloutJob, ShardPlayer
from tratree_cli.envs.protocol import EnvironmentSpec
from tratree_cli.errors import InputError, StageError, did_you_mean
from tratree_cli.formats.rollouts import UNSCORED, Rollouts, TextTable, Trajectory

ENGINES = ("local", "ray")


def check_engine(name: str) -> None:
    """``InputError`` for an engine that does not exist."""
    if name not in ENGINES:
        near = did_you_mean(name, ENGINES)
        raise InputError(f"there is no engine '{name}'{near}; known are {', '.join(ENGINES)}")


def explore(
    environment: EnvironmentSpec,
    sources: Sequence[PolicySource],
    plan: SamplingPlan,
    *,
    work: Path,
    prompt: Sequence[Message] = (),
    split: str = "",
    workers: int = 1,
    engine: str = "local",
    address: str | None = None,
    restarts: int = 2,
    part: tuple[int, int] | None = None,
    progress: OnProgress | None = None,
) -> Rollouts:
    """Play what is missing of ``plan`` and return all of it; equal plans give equal rollouts.

    ``work`` keeps finished shards (a durable folder, may be shared by several runs and machines).
    All episodes of a shard run at once, or ``plan.at_once`` of them. ``part=(i, n)`` plays and
    returns only the i-th of n parts. ``engine`` is ``local`` or ``ray`` (at ``address``). A policy
    outage raises ``PartialError`` and keeps what is finished; Ctrl-C passes through with the same
    effect.
    """
    if len(sources) != len(plan.sources):
        raise InputError("the plan and the exploration name different policies")
    check_engine(engine)
    at_once = plan.at_once if plan.refilled else plan.block
    job = RolloutJob(environment, sources, plan.settings, prompt, at_once, restarts)
    shards = plan.part(*part) if part else plan.shards()
    folder = ShardFolder(work)
    run_shards(job, shards, folder, workers, engine, address, progress)
    return merge(shards, folder, plan, environment, prompt, split)


def run_shards(
    job: RolloutJob,
    shards: Sequence[Shard],
    folder: ShardFolder,
    workers: int = 1,
    engine: str = "local",
    address: str | None = None,
    progress: OnProgress | None = None,
) -> None:
    """Play the shards that ``folder`` does not have yet, and put them there."""
    finished, missing = RolloutProgress(), []
    for shard in shards:
        content = folder.read(shard)
        if content is None:
            missing.append(shard)
        else:
            finished += _summary(content)
    total = sum(len(shard.requests) for shard in shards)

    def report(now: RolloutProgress) -> None:
        if progress is not None:
            progress(replace(finished + now, total=total))

    report(RolloutProgress())
    # Grouped by source, because a worker holds one policy at a time.
    missing.sort(key=lambda shard: shard.source)
    # Closing, because workers must not outlive an exception that is raised here.
    with contextlib.closing(_engine(engine)(job, missing, workers, address, report)) as played:
        for shard, data in played:
            folder.write(shard, data)


Engine = Callable[
    [RolloutJob, Sequence[Shard], int, str | None, OnProgress], Generator[tuple[Shard, bytes]]
]
"""Plays shards somewhere and yields each as it is finished.

The progress that it reports is its own so far: all of its finished and running shards.
"""


def _engine(name: str) -> Engine:
    if name == "ray":
        from tratree_cli.agents.ray_engine import play_on_ray

        return play_on_ray
    return _play_locally


def _play_locally(
    job: RolloutJob, shards: Sequence[Shard], workers: int, address: str | None, report: OnProgress
) -> Generator[tuple[Shard, bytes]]:
    if min(workers, len(shards)) > 1:
        from tratree_cli.agents.shard_workers import play_in_processes

        yield from play_in_processes(job, shards, workers, report)
    elif shards:
        yield from play_here(job, shards, report)


def play_here(
    job: RolloutJob, shards: Sequence[Shard], report: OnProgress
) -> Generator[tuple[Shard, bytes]]:
    """The engine without processes."""
    before = RolloutProgress()
    player = ShardPlayer(job)
    try:
        for shard in shards:
            now = RolloutProgress()

            def keep(current: RolloutProgress, before: RolloutProgress = before) -> None:
                nonlocal now
                now = current
                report(before + current)

            yield shard, player.play(shard, keep)
            before += now
    finally:
        player.close()


def merge(
    shards: Sequence[Shard],
    folder: ShardFolder,
    plan: SamplingPlan,
    environment: EnvironmentSpec,
    prompt: Sequence[Message] = (),
    split: str = "",
) -> Rollouts:
    """All trajectories of ``shards`` in canonical order: by task, then source, then sample."""
    order = {task: number for number, task in enumerate(plan.tasks)}
    blocks: dict[int, list[Shard]] = {}
    for shard in shards:
        blocks.setdefault(shard.block, []).append(shard)
    texts = TextTable()
    trajectories: list[Trajectory] = []
    # Blocks follow each other in the order of the tasks, so one of them is in memory at a time.
    for block in sorted(blocks):
        episodes = [episode for shard in blocks[block] for episode in _finished(folder, shard)]
        episodes.sort(key=lambda episode: (order[episode.task], episode.source, episode.sample))
        trajectories += [interned(episode, texts) for episode in episodes]
    return Rollouts(
        texts=texts,
        trajectories=trajectories,
        settings=[dict(setting) for setting in plan.settings],
        sources=list(plan.sources),
        environment=environment_record(environment),
        split=split,
        prompt={"messages": [dict(message) for message in prompt]} if prompt else {},
    )


def environment_record(spec: EnvironmentSpec) -> dict[str, Any]:
    """The environment as rollouts carry it: the key without the folder's path."""
    return spec.key()


def _finished(folder: ShardFolder, shard: Shard) -> list[PlayedEpisode]:
    episodes = folder.read(shard)
    if episodes is None:
        raise StageError(f"the finished shard {folder.path(shard)} is gone; run it again")
    return episodes


def _summary(episodes: Sequence[PlayedEpisode]) -> RolloutProgress:
    """What finished shards of an earlier run add to the display."""
    scored = [episode for episode in episodes if episode.end not in UNSCORED]
    return RolloutProgress(
        done=len(episodes),
        failed=len(episodes) - len(scored),
        scored=len(scored),
        score_sum=sum(episode.score or 0.0 for episode in scored),
    )
