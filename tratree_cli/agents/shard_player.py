"""What plays shards in one process: the job that it is given, and the player.

A job is all that a worker process or another machine needs, so it is picklable; the player opens
the environment and one policy at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tratree_cli.agents.policy import Message, Policy
from tratree_cli.agents.registry import LOCAL, open_policy
from tratree_cli.agents.rollout import OnProgress, play_episodes
from tratree_cli.agents.sampling_plan import Shard
from tratree_cli.agents.shard_files import encode_shard
from tratree_cli.agents.turn_form import TurnByTurn, TurnForm
from tratree_cli.envs.protocol import Environment, EnvironmentSpec
from tratree_cli.envs.registry import open_environment
from tratree_cli.errors import StageError, TratreeError, is_out_of_memory


@dataclass(frozen=True)
class PolicySource:
    """A policy that explores: ``name`` identifies it for good, ``reference`` opens it here.

    ``engine`` is the backend that plays it where it is a model, ``form`` how such a model is asked
    about every turn by itself (None: in a conversation).
    """

    name: str
    reference: str
    options: Mapping[str, Any] = field(default_factory=dict)
    engine: str = LOCAL
    form: TurnForm | None = None


@dataclass(frozen=True)
class RolloutJob:
    """Everything a worker process needs to play any shard of a plan; picklable."""

    environment: EnvironmentSpec
    sources: Sequence[PolicySource]
    settings: Sequence[Mapping[str, Any]]
    prompt: Sequence[Message] = ()
    batch: int = 32
    restarts: int = 2


class ShardPlayer:
    """Plays shards of one job in this process; opens environment and policies when needed.

    One policy is kept open at a time: shards come grouped by source, and two large models may not
    fit into memory together.
    """

    def __init__(self, job: RolloutJob) -> None:
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
            self._policy = open_policy(
                source.reference, options=source.options, batch=job.batch, engine=source.engine
            )
            if source.form is not None:
                self._policy = TurnByTurn(self._policy, source.form)
            self._source = shard.source
        assert self._environment is not None
        assert self._policy is not None
        episodes = play_episodes(
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
        return encode_shard(shard.key, episodes)

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


def portable(error: Exception) -> TratreeError:
    """An error that can be pickled: a ``TratreeError`` as it is, any other as a sentence."""
    if isinstance(error, TratreeError):
        return error
    if is_out_of_memory(error):
        return StageError(
            "not enough memory for a worker; use fewer workers, or a smaller explore.block or "
            "explore.max_context"
        )
    return StageError(f"a worker failed: {type(error).__name__}: {error}")
