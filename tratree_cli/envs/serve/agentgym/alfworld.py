"""The paths and fields of AgentGym's ALFWorld server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tratree_cli.envs.serve.agentgym.dialect import Dialect, chosen, plain
from tratree_cli.envs.serve.service import EpisodeAnswer, Service
from tratree_cli.envs.serve.sessions import ServedSession
from tratree_cli.errors import InputError


class AlfWorldDialect(Dialect):
    """``game`` counts through the tasks of all splits, train first."""

    hello = "This is environment AlfWorld."
    max_steps = 50
    paths: ClassVar[Mapping[str, str]] = {
        "/step": "POST step",
        "/reset": "POST reset",
        "/close": "POST close",
        "/observation": "GET observation",
        "/available_actions": "GET available_actions",
        "/detail": "GET detail",
    }

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        listed = (task for tasks in service.tasks.splits.values() for task in tasks)
        self.games = tuple(dict.fromkeys(listed))

    async def reset(
        self, number: int, session: ServedSession, fields: Mapping[str, object]
    ) -> dict[str, Any]:
        kind = fields.get("world_type", "Text")
        if kind not in ("Text", "Embody", "Hybrid"):
            raise InputError(
                'world_type is "Text", "Embody" or "Hybrid"; all of them are text here'
            )
        task = chosen(self.games, "game", fields.get("game"))
        answer = await self.begin(session, task)
        return {
            "id": number,
            "observation": plain(answer.state),
            "available_actions": answer.available,
            "task_type": self.service.environment.task_type(task),
        }

    async def step(
        self, number: int, session: ServedSession, fields: Mapping[str, object]
    ) -> dict[str, Any]:
        return self._seen(await self.play(session, fields))

    async def available_actions(
        self, number: int, session: ServedSession, fields: object
    ) -> list[str]:
        return await self.available(session)

    async def detail(self, number: int, session: ServedSession, fields: object) -> dict[str, Any]:
        episode, state = self.episode(session), self.state(session)
        answer = EpisodeAnswer(episode.instruction, state, await self.available(session))
        game = self.games.index(episode.task)
        return {"world_type": "Text", "game": game, "deleted": False, **self._seen(answer)}

    def _seen(self, answer: EpisodeAnswer) -> dict[str, Any]:
        return {
            "observation": plain(answer.state),
            "reward": answer.state.score,
            "available_actions": answer.available,
            "done": answer.state.done,
        }
