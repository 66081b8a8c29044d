"""The paths and fields of AgentGym's ScienceWorld server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tratree_cli.envs.agent_episode import AgentState
from tratree_cli.envs.scienceworld.tasks import FAMILIES
from tratree_cli.envs.serve.agentgym.dialect import Dialect, chosen, plain
from tratree_cli.envs.serve.service import Service
from tratree_cli.envs.serve.sessions import ServedSession
from tratree_cli.errors import InputError

LEFT_OUT = ("grow-", "inclined-plane-", "mendelian-genetics-")
"""Families that are not in AgentGym's list of games."""


class ScienceWorldDialect(Dialect):
    """``data_idx`` counts through AgentGym's families, all variations of each.

    A reset also looks around, as the original's does, which is the first step. ``score`` is the
    best so far in hundredths; the original's becomes -100 after a wrong focus. ``possible_actions``
    are whole actions; what the original lists as objects is empty, and goals are not listed.
    """

    hello = "This is environment ScienceWorld."
    max_steps = 101
    lists_actions = False
    paths: ClassVar[Mapping[str, str]] = {
        "/step": "POST step",
        "/reset": "POST reset",
        "/close": "POST close",
        "/observation": "GET observation",
        "/action_hint": "GET action_hint",
        "/goals": "GET goals",
        "/detail": "GET detail",
        "/task_description": "GET task_description",
    }

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.games = tuple(
            f"{name}/{variation}"
            for name, family in FAMILIES.items()
            if not name.startswith(LEFT_OUT)
            for variation in range(family.variations)
        )

    async def reset(
        self, number: int, session: ServedSession, fields: Mapping[str, object]
    ) -> dict[str, Any]:
        await self.begin(session, chosen(self.games, "data_idx", fields.get("data_idx")))
        await self.play(session, {"action": "look around"})
        return self._described(session)

    async def step(
        self, number: int, session: ServedSession, fields: Mapping[str, object]
    ) -> dict[str, Any]:
        return _hundredths((await self.play(session, fields)).state)

    async def action_hint(
        self, number: int, session: ServedSession, fields: object
    ) -> dict[str, Any]:
        return {"possible_actions": await self.available(session), "possible_objects": []}

    async def goals(self, number: int, session: ServedSession, fields: object) -> dict[str, Any]:
        raise InputError("the progress of a task's goals is not available here")

    async def detail(self, number: int, session: ServedSession, fields: object) -> dict[str, Any]:
        return self._described(session)

    async def task_description(
        self, number: int, session: ServedSession, fields: object
    ) -> dict[str, str]:
        return {"task_description": self.episode(session).instruction}

    def _described(self, session: ServedSession) -> dict[str, Any]:
        episode = self.episode(session)
        name, _, variation = episode.task.partition("/")
        return {
            "task_name": name,
            "var_num": int(variation),
            "task_description": episode.instruction,
            "deleted": False,
            **_hundredths(self.state(session)),
        }


def _hundredths(state: AgentState) -> dict[str, Any]:
    return {
        "observation": plain(state),
        "reward": round(100 * state.score) - round(100 * (state.score - state.reward)),
        "score": round(100 * state.score),
        "done": state.done,
    }
