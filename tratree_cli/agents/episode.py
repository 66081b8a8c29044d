"""One episode as a small state machine: the agent's output in, the next observation or an end out.

These are the rules of the ETO agent loop, in one place and without any model: how an output is
parsed, what an unparsable one leads to, when an episode ends and with which score. A crash of the
environment is recovered from by replay (environments are deterministic), so that neither the
agent's conversation nor its neighbours in the batch notice anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tratree_cli.agents.played import PlayedEpisode
from tratree_cli.agents.policy import Reply
from tratree_cli.envs.protocol import (
    INVALID_FORMAT,
    Environment,
    Episode,
    Outcome,
    UnplayableTaskError,
    begin_episode,
)
from tratree_cli.errors import InputError
from tratree_cli.formats.agent_text import UNPARSABLE_LIMIT, parse, storable
from tratree_cli.formats.rollouts import (
    DONE,
    ENVIRONMENT_ERROR,
    STEP_LIMIT,
    UNPARSABLE,
    UNSCORED,
)

LONGEST_DETAIL = 300

T = TypeVar("T")


@dataclass(frozen=True)
class EpisodeRequest:
    """Which episode to play; ``setting`` and ``source`` are numbers into the plan's lists."""

    task: str
    sample: int = 0
    setting: int = 0
    seed: int = 0
    source: int = 0


class EnvironmentBrokenError(Exception):
    """An episode could not be brought back within the allowed restarts."""


class EnvironmentHolder:
    """The process's environment, opened again when episodes cannot even be started any more.

    ``generation`` counts the openings: an episode of an earlier one may be lost without
    having crashed itself (one game server often runs all of them).
    """

    def __init__(
        self, environment: Environment, reopen: Callable[[], Environment] | None = None
    ) -> None:
        self.current = environment
        self.generation = 0
        self._reopen = reopen

    def renew(self) -> None:
        """Open the environment again, if ``reopen`` was given."""
        if self._reopen is not None:
            self.current = self._reopen()
            self.generation += 1


@dataclass
class LiveEpisode:
    """The record of an episode so far, and the environment's side of it.

    ``restarts`` is the number of crashes after which the episode is restored.
    """

    request: EpisodeRequest
    holder: EnvironmentHolder
    restarts: int
    instruction: str = ""
    step_limit: int = 0
    observations: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    actions: list[str | None] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    valid: list[bool] = field(default_factory=list)
    sampled_tokens: int = 0
    success: bool = False
    end: str | None = None
    detail: str = ""
    _episode: Episode | None = None
    _generation: int = 0
    _restoring: bool = False
    _crashes: int = 0
    _unparsable: int = 0

    def start(self) -> None:
        """Reset the environment; ``end`` is set if it never comes up."""
        try:
            self.observations.append(self._survive(self._reset))
        except EnvironmentBrokenError as error:
            self._break_off(ENVIRONMENT_ERROR, str(error))

    def available(self) -> list[str]:
        """The actions that have an effect now."""
        try:
            return self._survive(lambda: list(self._live().available_actions()))
        except EnvironmentBrokenError:
            return []

    def advance(self, reply: Reply) -> None:
        """Take the agent's answer; append the next observation or set ``end``."""
        if reply.end is not None:
            self._break_off(reply.end, reply.detail)
            return
        output = storable(reply.text)
        _, action = parse(output)
        self.outputs.append(output)
        self.sampled_tokens += len(reply.tokens)
        self.actions.append(action)
        if action is None:
            self._unparsable += 1
            self._record(Outcome(INVALID_FORMAT, self.score, done=False, valid=False))
        else:
            self._unparsable = 0
            try:
                outcome = self._survive(lambda: self._live().step(action))
            except EnvironmentBrokenError as error:
                self.scores.append(self.score)
                self.valid.append(False)
                self._break_off(ENVIRONMENT_ERROR, str(error))
                return
            self._record(outcome)
        if self.end is None and self._unparsable >= UNPARSABLE_LIMIT:
            self.end = UNPARSABLE
        if self.end is None and len(self.outputs) >= self.step_limit:
            self.end = STEP_LIMIT

    @property
    def score(self) -> float:
        """The environment's score so far."""
        return self.scores[-1] if self.scores else 0.0

    def played(self) -> PlayedEpisode:
        """The record of the finished episode."""
        assert self.end is not None, "the episode is still running"
        return PlayedEpisode(
            task=self.request.task,
            sample=self.request.sample,
            setting=self.request.setting,
            source=self.request.source,
            seed=self.request.seed,
            instruction=self.instruction,
            observations=tuple(self.observations),
            outputs=tuple(self.outputs),
            scores=tuple(self.scores),
            valid=tuple(self.valid),
            score=None if self.end in UNSCORED else self.score,
            success=self.success,
            end=self.end,
            sampled_tokens=self.sampled_tokens,
            detail=self.detail,
        )

    def _record(self, outcome: Outcome) -> None:
        self.observations.append(storable(outcome.observation))
        self.scores.append(float(outcome.score))
        self.valid.append(bool(outcome.valid))
        if outcome.done:
            self.success = bool(outcome.success)
            self.end = DONE

    def _break_off(self, end: str, detail: str) -> None:
        self.end = end
        self.detail = storable(detail)[:LONGEST_DETAIL]

    def _reset(self) -> str:
        self._restoring = True
        environment = self.holder.current
        self.instruction = storable(environment.instruction(self.request.task))
        self.step_limit = environment.max_steps(self.request.task)
        return self._restore()

    def _live(self) -> Episode:
        if self._episode is None:
            self._restore()
        assert self._episode is not None
        return self._episode

    def _restore(self) -> str:
        """A fresh episode, brought to the present state by replaying the actions so far."""
        self._restoring, self._generation = True, self.holder.generation
        request = self.request
        episode = begin_episode(self.holder.current, request.task, request.seed)
        first = storable(episode.reset())
        seen = [first]
        done = len(self.scores)
        for turn, action in enumerate(self.actions[:done]):
            seen.append(self.observations[turn + 1])
            if action is not None:
                seen[-1] = storable(episode.step(action).observation)
        if self.observations and seen != self.observations:
            raise EnvironmentBrokenError(
                f"task {self.request.task} did not replay to the same texts"
            )
        self._episode, self._restoring = episode, False
        return first

    def _survive(self, act: Callable[[], T]) -> T:
        """``act()``, with a fresh episode, or even environment, in place of a crashed one."""
        while True:
            try:
                if self._restoring and self._crashes:
                    # Not even a fresh episode came up: the environment itself may be gone.
                    self._renew()
                return act()
            except UnplayableTaskError as error:
                raise EnvironmentBrokenError(str(error)) from error
            except (EnvironmentBrokenError, InputError):
                raise
            # An environment is other people's code (a JVM, a web server): any exception is a crash.
            except Exception as error:
                # Unless it was opened again for another episode, which ended this one too.
                own = self._restoring or self._generation == self.holder.generation
                self._episode = None
                self._crashes += own
                if self._crashes > self.restarts:
                    raise EnvironmentBrokenError(f"{type(error).__name__}: {error}") from error

    def _renew(self) -> None:
        if self._generation == self.holder.generation:
            self.holder.renew()
