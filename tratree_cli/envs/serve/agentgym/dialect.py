"""What AgentGym's servers share: sessions by number, and the newest answer of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

from tratree_cli.envs.agent_episode import AgentEpisode, AgentState
from tratree_cli.envs.serve.requests import HttpReply, HttpRequest
from tratree_cli.envs.serve.service import EpisodeAnswer, Service, action_text
from tratree_cli.envs.serve.sessions import ProtocolError, ServedSession
from tratree_cli.envs.task_choice import whole_number
from tratree_cli.errors import InputError

UNLIMITED = 1_000_000


class Dialect:
    """What the three servers share: sessions by number, and the newest answer of each."""

    identifier = "id"
    hello = ""
    max_steps = UNLIMITED
    lists_actions = True
    """Whether replies to reset and step need them."""
    paths: ClassVar[Mapping[str, str]] = {}
    """Path to ``METHOD name_of_a_method``."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def answer(self, request: HttpRequest) -> HttpReply:
        """The reply to a request whose path is relative to ``/agentgym``."""
        method, _, name = self.paths.get(request.path, "").partition(" ")
        try:
            if request.path in ("", "/") and request.method == "GET":
                return HttpReply(200, self.hello)
            if request.path == "/create" and request.method == "POST":
                number, _ = self.service.sessions.open_numbered()
                return HttpReply(200, self.created(number))
            if not name:
                return HttpReply(404, {"error": f"there is no {request.path[:80]} in this dialect"})
            if request.method != method:
                return HttpReply(405, {"error": f"{request.path} answers {method}"})
            source: Mapping[str, object] = request.query if method == "GET" else request.fields()
            if self.identifier not in source:
                raise InputError(f"{self.identifier} is missing")
            number = whole_number(self.identifier, source[self.identifier])
            if name == "close":
                self.service.sessions.numbered(number)
                self.service.sessions.close_numbered(number)
                return HttpReply(200, {"closed": True})
            session = self.service.sessions.numbered(number)
            act: Callable[[int, ServedSession, Mapping[str, object]], Awaitable[Any]]
            act = getattr(self, name)
            return HttpReply(200, await act(number, session, source))
        except ProtocolError as error:
            if error.code == "CAPACITY_REACHED":
                return HttpReply(503, {"error": str(error), "code": error.code})
            return self.failed(str(error))
        except InputError as error:
            return self.failed(str(error))

    def created(self, number: int) -> object:
        """The reply to ``/create``."""
        return {"id": number}

    def failed(self, message: str) -> HttpReply:
        """The reply to a request that cannot be answered."""
        return HttpReply(200, {"error": message})

    async def begin(self, session: ServedSession, task: str | None) -> EpisodeAnswer:
        """Begin a task (None: the next one)."""
        steps = self.service.limits.max_steps or self.max_steps
        wanted = {"task": task, "max_steps": steps, "available_actions": self.lists_actions}
        return await self.service.call(session, self.service.reset, session, wanted)

    async def play(self, session: ServedSession, fields: Mapping[str, object]) -> EpisodeAnswer:
        """Take the action of a request."""
        text = action_text(fields.get("action"))
        return await self.service.call(session, self.service.step, session, text)

    def episode(self, session: ServedSession) -> AgentEpisode:
        """The episode of a session; ``InputError`` before the first reset."""
        if session.episode is None:
            raise InputError("the session has no episode yet; reset it first")
        return session.episode

    def state(self, session: ServedSession) -> AgentState:
        """What the newest reset or step led to."""
        state = self.episode(session).state
        assert state is not None
        return state

    async def available(self, session: ServedSession) -> list[str]:
        """Actions that have an effect now."""
        return await self.service.call(session, self.episode(session).available_actions)

    async def observation(self, number: int, session: ServedSession, fields: object) -> str:
        return plain(self.state(session))


def plain(state: AgentState) -> str:
    """The text without what ETO's wrapper puts in front of it."""
    text = state.text
    mark = "Observation:"
    return text[len(mark) + 1 :] if text.startswith((f"{mark} ", f"{mark}\n")) else text


def chosen(games: Sequence[str], name: str, value: object) -> str:
    """The game of that number."""
    number = whole_number(name, value)
    if not 0 <= number < len(games):
        raise InputError(f"there is no {name} {number}; there are {len(games)} games, from 0")
    return games[number]
