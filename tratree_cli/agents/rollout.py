"""The rollout loop: many episodes advance together; finished ones leave and new ones enter.

The order in which things happen inside (who is admitted when, who answers first) is a function of
the requests and the policy alone, and the result is given in the order of the requests. So the same
requests give the same result; splitting them otherwise may change a sampled token where two
probabilities agree up to float rounding, which is why callers that promise equal bytes always play
the same list of requests together (a shard).
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tratree_cli.agents.episode import EnvironmentHolder, EpisodeRequest, LiveEpisode
from tratree_cli.agents.played import PlayedEpisode, interned
from tratree_cli.agents.policy import Message, Opening, Policy, Reply, Turn
from tratree_cli.envs.protocol import Environment
from tratree_cli.formats.rollouts import UNSCORED, TextTable, Trajectory

__all__ = ["EpisodeRequest", "RolloutProgress", "play", "play_episodes"]


@dataclass(frozen=True)
class RolloutProgress:
    """How far rollouts are; every field adds up over shards. Times are in seconds.

    ``scored`` counts the finished episodes that have a score and ``score_sum`` adds their scores;
    ``failed`` counts those that an environment or policy error ended.
    """

    total: int = 0
    done: int = 0
    running: int = 0
    failed: int = 0
    scored: int = 0
    score_sum: float = 0.0
    steps: int = 0
    tokens: int = 0
    policy_seconds: float = 0.0
    environment_seconds: float = 0.0

    @property
    def mean_score(self) -> float | None:
        """Mean score in [0, 1] of the scored episodes, None before the first."""
        return self.score_sum / self.scored if self.scored else None

    def __add__(self, other: RolloutProgress) -> RolloutProgress:
        names = self.__dataclass_fields__
        return RolloutProgress(
            **{name: getattr(self, name) + getattr(other, name) for name in names}
        )


OnProgress = Callable[[RolloutProgress], None]


def play_episodes(
    environment: Environment,
    policy: Policy,
    requests: Sequence[EpisodeRequest],
    settings: Sequence[Mapping[str, Any]] = ({},),
    *,
    prompt: Sequence[Message] = (),
    batch: int = 32,
    restarts: int = 2,
    reopen: Callable[[], Environment] | None = None,
    progress: OnProgress | None = None,
) -> list[PlayedEpisode]:
    """Play the requested episodes, at most ``batch`` at once; results are in request order.

    ``settings[request.setting]`` are an episode's sampling settings, ``prompt`` the messages before
    the first observation, ``restarts`` how often a crashed episode is brought back (by ``reopen``,
    if the environment itself is gone). A policy that stops answering raises ``PolicyOutageError``.
    """
    loop = _Loop(environment, policy, requests, settings, prompt, restarts, reopen)
    loop.run(batch, progress or (lambda _: None))
    return [episode.played() for episode in loop.episodes]


def play(
    environment: Environment,
    policy: Policy,
    requests: Sequence[EpisodeRequest],
    settings: Sequence[Mapping[str, Any]] = ({},),
    **options: Any,
) -> tuple[list[Trajectory], TextTable]:
    """``play_episodes`` (and its options), as trajectories and the texts that they refer to."""
    texts = TextTable()
    episodes = play_episodes(environment, policy, requests, settings, **options)
    return [interned(episode, texts) for episode in episodes], texts


class _Loop:
    def __init__(
        self,
        environment: Environment,
        policy: Policy,
        requests: Sequence[EpisodeRequest],
        settings: Sequence[Mapping[str, Any]],
        prompt: Sequence[Message],
        restarts: int,
        reopen: Callable[[], Environment] | None,
    ) -> None:
        self.holder = EnvironmentHolder(environment, reopen)
        self.policy = policy
        self.settings = settings
        self.prompt = prompt
        self.episodes = [LiveEpisode(request, self.holder, restarts) for request in requests]
        self.live: set[int] = set()
        self.finished: list[LiveEpisode] = []
        self.steps = self.tokens = 0
        self.policy_seconds = self.environment_seconds = 0.0

    def run(self, batch: int, progress: OnProgress) -> None:
        waiting = deque(range(len(self.episodes)))
        try:
            turns: list[Turn] = []
            while waiting or self.live:
                while waiting and len(self.live) < max(1, batch):
                    turns += self._admit(waiting.popleft())
                self._ask(turns)
                turns = self._answer(self._collect()) if self.live else []
                progress(self._progress())
        except BaseException:
            # What ended the loop is told, and not what it left behind in the policy.
            with contextlib.suppress(Exception):
                self.policy.finish(sorted(self.live))
            raise

    def _admit(self, slot: int) -> list[Turn]:
        episode = self.episodes[slot]
        began = time.perf_counter()
        episode.start()
        self.environment_seconds += time.perf_counter() - began
        if episode.end is not None:
            self.finished.append(episode)
            return []
        request = episode.request
        self.live.add(slot)
        opening = Opening(
            slot=slot,
            seed=request.seed,
            setting=self.settings[request.setting],
            prefix=self.prompt,
            task=request.task,
            environment=self.holder.current,
        )
        self.policy.begin([opening])
        return [Turn(slot, episode.observations[-1], episode.available)]

    def _ask(self, turns: Sequence[Turn]) -> None:
        if turns:
            began = time.perf_counter()
            self.policy.submit(turns)
            self.policy_seconds += time.perf_counter() - began

    def _collect(self) -> list[Reply]:
        began = time.perf_counter()
        replies = self.policy.collect()
        self.policy_seconds += time.perf_counter() - began
        return replies

    def _answer(self, replies: Sequence[Reply]) -> list[Turn]:
        """Step the environments with the replies; return the turns of those that go on."""
        began = time.perf_counter()
        turns = []
        for reply in replies:
            episode = self.episodes[reply.slot]
            episode.advance(reply)
            self.steps += 1
            self.tokens += len(reply.tokens)
            if episode.end is None:
                turns.append(Turn(reply.slot, episode.observations[-1], episode.available))
            else:
                self.live.discard(reply.slot)
                self.finished.append(episode)
                self.policy.finish([reply.slot])
        self.environment_seconds += time.perf_counter() - began
        return turns

    def _progress(self) -> RolloutProgress:
        scored = [episode for episode in self.finished if episode.end not in UNSCORED]
        return RolloutProgress(
            total=len(self.episodes),
            done=len(self.finished),
            running=len(self.live),
            failed=len(self.finished) - len(scored),
            scored=len(scored),
            score_sum=sum(episode.score for episode in scored),
            steps=self.steps,
            tokens=self.tokens,
            policy_seconds=self.policy_seconds,
            environment_seconds=self.environment_seconds,
        )
