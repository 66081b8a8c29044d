"""The environment as sessions use it: reset and step, their answers, and their errors.

An environment that is all in memory answers at once and is called directly; any other (a simulator
in another process, a web service) is called in one thread of its own, so that a slow answer delays
no other connection. One thread, because environments need not be thread-safe.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from tratree_cli.envs.agent_episode import AgentEpisode, AgentState, EpisodeError
from tratree_cli.envs.protocol import Environment, optional
from tratree_cli.envs.serve.sessions import ProtocolError, ServedSession, Sessions
from tratree_cli.envs.task_choice import TaskChooser, whole_number
from tratree_cli.errors import InputError

T = TypeVar("T")

LONGEST_MESSAGE = 500
LONGEST_EPISODE_ID = 255
RESET_KEYS = ("seed", "episode_id", "split", "task", "index", "max_steps", "available_actions")


@dataclass(frozen=True)
class ServiceLimits:
    """How much is served: sessions in all, idle seconds, bytes of a message, steps of an episode.

    ``max_steps`` 0 means the environment's own limit; ``split`` is where tasks come from when a
    client names none (empty: ``train``).
    """

    sessions: int = 4096
    idle_seconds: float = 1800.0
    message_bytes: int = 1 << 20
    max_steps: int = 0
    split: str = ""


@dataclass(frozen=True, slots=True)
class EpisodeAnswer:
    """What a reset or a step led to; ``available`` is None where the client does not want it."""

    instruction: str
    state: AgentState
    available: list[str] | None

    def observation(self) -> dict[str, Any]:
        """The fields of OpenEnv's observation."""
        state = self.state
        fields = {
            "text": state.text,
            "instruction": self.instruction,
            "available_actions": self.available,
            "score": state.score,
            "success": state.success,
            "valid": state.valid,
            "steps": state.steps,
        }
        if self.available is None:
            del fields["available_actions"]
        return fields


class Service:
    """Plays episodes for the sessions of one worker process."""

    def __init__(self, environment: Environment, limits: ServiceLimits, sessions: Sessions) -> None:
        self.environment = environment
        self.limits = limits
        self.sessions = sessions
        self.tasks = TaskChooser(environment, limits.split)
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = None if optional(environment, "in_memory") else EnvironmentThread()

    @property
    def waits(self) -> bool:
        """Whether calls take time that others should not wait for."""
        return self._thread is not None

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Let work go on by itself, and keep hold of it until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def call(self, session: ServedSession, act: Callable[..., T], *arguments: object) -> T:
        """``act(*arguments)`` for a session, one at a time; errors become ``ProtocolError``."""
        if session.busy:
            raise ProtocolError(
                "SESSION_ERROR", "the session is busy with another request; wait for its answer"
            )
        session.busy, session.used = True, time.monotonic()
        try:
            if self._thread is None:
                return act(*arguments)
            return await self._thread.call(act, *arguments)
        except ProtocolError:
            raise
        except EpisodeError as error:
            raise ProtocolError("EXECUTION_ERROR", str(error)) from error
        except InputError as error:
            raise ProtocolError("VALIDATION_ERROR", str(error)[:LONGEST_MESSAGE]) from error
        # An environment is other people's code: any exception costs one reply and nothing else.
        except Exception as error:
            message = f"{type(error).__name__}: {error}"[:LONGEST_MESSAGE]
            sys.stderr.write(f"tratree: the environment failed: {' '.join(message.split())}\n")
            raise ProtocolError("EXECUTION_ERROR", f"the environment failed: {message}") from error
        finally:
            session.busy, session.used = False, time.monotonic()

    def reset(self, session: ServedSession, wanted: Mapping[str, object]) -> EpisodeAnswer:
        """Begin the episode that ``wanted`` names (see ``TaskChooser``); call it by :meth:`call`.

        ``wanted`` may also have ``episode_id`` (the client's own label), ``max_steps`` and
        ``available_actions`` (False: not wanted, which saves time where they are many).
        """
        label, most = wanted.get("episode_id"), wanted.get("max_steps")
        lists_actions = wanted.get("available_actions")
        if label is not None and not (isinstance(label, str) and len(label) <= LONGEST_EPISODE_ID):
            raise InputError(f"episode_id is a text of at most {LONGEST_EPISODE_ID} characters")
        if lists_actions is not None and not isinstance(lists_actions, bool):
            raise InputError(f"available_actions is true or false, not {lists_actions!r:.40}")
        steps = self.limits.max_steps if most is None else whole_number("max_steps", most)
        if steps < 0:
            raise InputError("max_steps is 0 (the environment's own limit) or more")
        if self.limits.max_steps:
            steps = min(steps or self.limits.max_steps, self.limits.max_steps)
        choice = {key: wanted.get(key) for key in ("split", "task", "index", "seed")}
        task = self.tasks.choose(**choice)
        episode = AgentEpisode(self.environment, task, max_steps=steps)
        state = episode.reset()
        # Only now: a reset that fails leaves the session's episode as it was.
        session.episode, session.episode_id = episode, label
        session.lists_actions = lists_actions is not False
        return self._answer(session, episode, state)

    def step(self, session: ServedSession, output: str) -> EpisodeAnswer:
        """Take the agent's output; call it by :meth:`call`."""
        if session.episode is None:
            raise EpisodeError("the episode has not begun; reset comes before the first step")
        return self._answer(session, session.episode, session.episode.step(output))

    def state(self, session: ServedSession | None) -> dict[str, Any]:
        """OpenEnv's state of a session: which episode, and how far it is."""
        episode = None if session is None else session.episode
        if session is None or episode is None or episode.state is None:
            return {"episode_id": None, "step_count": 0}
        return {
            "episode_id": session.episode_id,
            "step_count": episode.state.steps,
            "task": episode.task,
            "score": episode.state.score,
            "done": episode.state.done,
            "max_steps": episode.max_steps,
        }

    def _answer(
        self, session: ServedSession, episode: AgentEpisode, state: AgentState
    ) -> EpisodeAnswer:
        available = episode.available_actions() if session.lists_actions else None
        return EpisodeAnswer(episode.instruction, state, available)


def action_text(value: object) -> str:
    """Any JSON value but an object as the agent's text: a reply ``12`` may arrive as a number."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        raise InputError("action is a text, not an object")
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError):
        return str(value)  # a number that is larger than 64 bits


class EnvironmentThread:
    """One thread that makes all calls into an environment, in the order in which they came.

    A daemon: the process can end while a simulator does not answer.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="environment", daemon=True).start()

    async def call(self, act: Callable[..., T], *arguments: object) -> T:
        """``act(*arguments)`` in the thread; its result, or what it raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.cancelled():
                return  # the client went away
            if error is None:
                future.set_result(result)  # type: ignore[arg-type]
            else:
                future.set_exception(error)

        def work() -> None:
            result, raised = None, None
            try:
                result = act(*arguments)
            except Exception as error:  # noqa: BLE001 - it is raised where the call was made
                raised = error
            loop.call_soon_threadsafe(settle, result, raised)

        self._calls.put(work)
        return await future

    def _work(self) -> None:
        while True:
            self._calls.get()()
