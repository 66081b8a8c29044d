"""Exploring a plan: play the shards that are missing, on any engine, and merge all in one order.

Engines only differ in where a shard is played. The caller's process alone writes shard files, so an
engine returns bytes and knows nothing of folders; killing anything at any time costs the shards in
flight and no more. The merge reads finished shards in the plan's canonical order (task, source,
sample), so its result is the same bytes however the shards came about.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tratree_cli.agents.policy import Message, Policy, open_policy
from tratree_cli.agents.rollout import OnProgress, Progress, play
from tratree_cli.agents.sampling_plan import SamplingPlan, Shard
from tratree_cli.agents.shard_files import ShardFolder, encode_shard
from tratree_cli.envs.protocol import Environment, EnvironmentSpec
from tratree_cli.envs.registry import open_environment
from tratree_cli.errors import InputError, StageError
from tratree_cli.formats.rollouts import UNSCORED, Rollouts, TextTable, Trajectory

ENGINES = ("local", "ray")


def check_engine(name: str) -> None:
    """``InputError`` for an engine that does not exist."""
    if name not in ENGINES:
        raise InputError(f"there is no engine '{name}'; known are {', '.join(ENGINES)}")


@dataclass(frozen=True)
class Source:
    """A policy that explores: ``name`` identifies it for good, ``reference`` opens it here."""

    name: str
    reference: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """Everything a worker process needs to play any shard of a plan; picklable."""

    environment: EnvironmentSpec
    sources: Sequence[Source]
    settings: Sequence[Mapping[str, Any]]
    prompt: Sequence[Message] = ()
    batch: int = 32
    restarts: int = 2


class ShardPlayer:
    """Plays shards of one job in this process; opens environment and policies when needed.

    One policy is kept open at a time: shards come grouped by source, and two large models may not
    fit into memory together.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._environment: Environment | None = open_environment(job.environment)
        self._policy: Policy | None = None
        self._source = -1

    def play(self, shard: Shard, progress: OnProgress | None = None) -> bytes:
        """The shard's file content."""
        job = self.job
        if self._source != shard.source:
            self._close_policy()
            source = job.sources[shard.source]
            self._policy = open_policy(source.reference, options=source.options, batch=job.batch)
            self._source = shard.source
        assert self._environment is not None
        assert self._policy is not None
        trajectories, texts = play(
            self._environment,
            self._policy,
            shard.requests,
            job.settings,
            prompt=job.prompt,
            batch=job.batch,
            restarts=job.restarts,
            reopen=self._reopen,
            progress=progress,
        )
        return encode_shard(shard.key, trajectories, texts)

    def close(self) -> None:
        self._close_policy()
        if self._environment is not None:
            self._environment.close()
            self._environment = None

    def _close_policy(self) -> None:
        if self._policy is not None:
            self._policy.close()
        self._policy, self._source = None, -1

    def _reopen(self) -> Environment:
        if self._environment is not None:
            # It is closed because it is broken, so closing may well fail too.
            with contextlib.suppress(Exception):
                self._environment.close()
        self._environment = open_environment(self.job.environment)
        return self._environment


def explore(
    environment: EnvironmentSpec,
    sources: Sequence[Source],
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
    All episodes of a shard live at once. ``part=(i, n)`` plays and returns only the i-th of n
    parts. ``engine`` is ``local`` or ``ray`` (at ``address``). A policy outage raises
    ``PartialError`` and keeps what is finished; Ctrl-C passes through with the same effect.
    """
    if len(sources) != len(plan.sources):
        raise InputError("the plan and the exploration name different policies")
    check_engine(engine)
    job = Job(environment, sources, plan.settings, prompt, plan.block, restarts)
    shards = plan.part(*part) if part else plan.shards()
    folder = ShardFolder(work)
    run_shards(job, shards, folder, workers, engine, address, progress)
    return merge(shards, folder, plan, environment, prompt, split)


def run_shards(
    job: Job,
    shards: Sequence[Shard],
    folder: ShardFolder,
    workers: int = 1,
    engine: str = "local",
    address: str | None = None,
    progress: OnProgress | None = None,
) -> None:
    """Play the shards that ``folder`` does not have yet, and put them there."""
    finished, missing = Progress(), []
    for shard in shards:
        found = folder.read(shard)
        if found is None:
            missing.append(shard)
        else:
            finished += _summary(found[0])
    total = sum(len(shard.requests) for shard in shards)

    def report(now: Progress) -> None:
        if progress is not None:
            progress(replace(finished + now, total=total))

    report(Progress())
    # Grouped by source, because a worker holds one policy at a time.
    missing.sort(key=lambda shard: shard.source)
    # Closing, because workers must not outlive an exception that is raised here.
    with contextlib.closing(_engine(engine)(job, missing, workers, address, report)) as played:
        for shard, data in played:
            folder.write(shard, data)


Engine = Callable[
    [Job, Sequence[Shard], int, str | None, OnProgress], Generator[tuple[Shard, bytes]]
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
    job: Job, shards: Sequence[Shard], workers: int, address: str | None, report: OnProgress
) -> Generator[tuple[Shard, bytes]]:
    if min(workers, len(shards)) > 1:
        from tratree_cli.agents.shard_workers import play_in_processes

        yield from play_in_processes(job, shards, workers, report)
    elif shards:
        yield from play_here(job, shards, report)


def play_here(
    job: Job, shards: Sequence[Shard], report: OnProgress
) -> Generator[tuple[Shard, bytes]]:
    """The engine without processes."""
    before = Progress()
    player = ShardPlayer(job)
    try:
        for shard in shards:
            now = Progress()

            def keep(current: Progress, before: Progress = before) -> None:
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
    found: list[tuple[tuple[int, int, int], Trajectory, TextTable]] = []
    for shard in shards:
        content = folder.read(shard)
        if content is None:
            raise StageError(f"the finished shard {folder.path(shard)} is gone; run it again")
        for trajectory in content[0]:
            place = (order[trajectory.task], trajectory.source, trajectory.sample)
            found.append((place, trajectory, content[1]))
    found.sort(key=lambda entry: entry[0])
    texts = TextTable()
    return Rollouts(
        texts=texts,
        trajectories=[renumber(trajectory, old, texts) for _, trajectory, old in found],
        settings=[dict(setting) for setting in plan.settings],
        sources=list(plan.sources),
        environment=environment_record(environment),
        split=split,
        prompt={"messages": [dict(message) for message in prompt]} if prompt else {},
    )


def environment_record(spec: EnvironmentSpec) -> dict[str, Any]:
    """The environment as rollouts carry it: the key without the folder's path."""
    return spec.key()


def renumber(trajectory: Trajectory, old: TextTable, new: TextTable) -> Trajectory:
    """``trajectory`` with its texts interned in ``new``, in the order in which they occurred."""

    def move(number: int) -> int:
        return -1 if number < 0 else new.intern(old[number])

    instruction = move(trajectory.instruction)
    observations, outputs, thoughts, actions = [], [], [], []
    for turn, observation in enumerate(trajectory.observations):
        observations.append(move(observation))
        if turn < trajectory.steps:
            outputs.append(move(trajectory.outputs[turn]))
            thoughts.append(move(trajectory.thoughts[turn]))
            actions.append(move(trajectory.actions[turn]))
    return replace(
        trajectory,
        instruction=instruction,
        observations=tuple(observations),
        outputs=tuple(outputs),
        thoughts=tuple(thoughts),
        actions=tuple(actions),
    )


def _summary(trajectories: Sequence[Trajectory]) -> Progress:
    """What finished shards of an earlier run add to the display."""
    scored = [t for t in trajectories if t.end not in UNSCORED]
    return Progress(
        done=len(trajectories),
        failed=len(trajectories) - len(scored),
        scored=len(scored),
        score_sum=sum(t.score or 0.0 for t in scored),
    )
