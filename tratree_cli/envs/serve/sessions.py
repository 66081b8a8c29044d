"""Sessions: which client plays which episode, how many there may be, and when one is ended.

A session belongs to one connection (WebSocket) or to a number that a client keeps (HTTP). Numbers
are drawn at random, so that a client cannot step into another's by counting, and encode which
worker process holds the session: the remainder of the number by the number of workers.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass

from tratree_cli.envs.agent_episode import AgentEpisode

NUMBERS = 2**40
"""A number below this, times any number of workers, is exact in every JSON reader."""


class ProtocolError(Exception):
    """An error of a client or the server: one of OpenEnv's error codes and a sentence."""

    def __init__(self, code: str, message: str, **details: int) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class ElsewhereError(Exception):
    """The session is held by another worker process."""

    def __init__(self, worker: int) -> None:
        super().__init__(worker)
        self.worker = worker


@dataclass(slots=True, eq=False)
class ServedSession:
    """One client's session; ``end`` is called, with the reason, when the server ends it."""

    used: float
    end: Callable[[str], None]
    episode: AgentEpisode | None = None
    episode_id: str | None = None
    lists_actions: bool = True
    busy: bool = False


class Sessions:
    """The sessions of this worker process, within a limit over all workers.

    ``counts`` has one number a worker, which only that worker writes; it may be shared memory.
    """

    def __init__(
        self, limit: int, idle_seconds: float, counts: MutableSequence[int], worker: int = 0
    ) -> None:
        self.limit = limit
        self.idle_seconds = idle_seconds
        self.worker = worker
        self.draining = False
        self._counts = counts
        self._counts[worker] = 0
        self._all: set[ServedSession] = set()
        self._numbered: dict[int, ServedSession] = {}

    def open(self, end: Callable[[str], None]) -> ServedSession:
        """A new session; ``CAPACITY_REACHED`` where there are as many as allowed."""
        active = sum(self._counts)
        if active >= self.limit:
            raise ProtocolError(
                "CAPACITY_REACHED",
                f"all {self.limit} sessions are in use; close one, or start the server with more "
                "(--sessions)",
                active_sessions=active,
                max_sessions=self.limit,
            )
        session = ServedSession(time.monotonic(), end)
        self._all.add(session)
        self._counts[self.worker] = len(self._all)
        return session

    def open_numbered(self) -> tuple[int, ServedSession]:
        """A new session that a client names by number."""
        workers = len(self._counts)
        while (number := secrets.randbelow(NUMBERS) * workers + self.worker) in self._numbered:
            pass
        session = self.open(lambda reason: self.close_numbered(number))
        self._numbered[number] = session
        return number, session

    def numbered(self, number: int) -> ServedSession:
        """The session of that number; ``ElsewhereError`` if another worker holds it."""
        worker = number % len(self._counts)
        if worker != self.worker:
            raise ElsewhereError(worker)
        if number not in self._numbered:
            raise ProtocolError(
                "SESSION_ERROR",
                f"there is no session {number} (any more); sessions are freed when they are "
                f"closed, and after {self.idle_seconds:g} idle seconds",
            )
        return self._numbered[number]

    def close(self, session: ServedSession) -> None:
        """Free a session; closing twice is harmless."""
        self._all.discard(session)
        self._counts[self.worker] = len(self._all)

    def close_numbered(self, number: int) -> None:
        """Free the session of that number, if it is there."""
        session = self._numbered.pop(number, None)
        if session is not None:
            self.close(session)

    def give_up_idle(self) -> None:
        """End every session that was idle for too long."""
        oldest = time.monotonic() - self.idle_seconds
        for session in [s for s in self._all if s.used < oldest and not s.busy]:
            session.end(f"the session was idle for {self.idle_seconds:g} seconds")

    def drain(self) -> None:
        """The server stops: end the sessions that wait for nothing; the others after their answer.

        The owner of a session checks ``draining`` after each answer.
        """
        self.draining = True
        for session in [s for s in self._all if not s.busy]:
            session.end("the server stops")

    @property
    def busy(self) -> bool:
        """Whether any session is waiting for the environment."""
        return any(session.busy for session in self._all)

    def __len__(self) -> int:
        return len(self._all)
