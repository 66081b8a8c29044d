"""The paths and fields of AgentGym's WebShop server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tratree_cli.envs.serve.agentgym.dialect import Dialect, plain
from tratree_cli.envs.serve.requests import HttpReply
from tratree_cli.envs.serve.sessions import ServedSession
from tratree_cli.envs.task_choice import whole_number


class WebShopDialect(Dialect):
    """``session_id`` is the goal's number."""

    identifier = "env_idx"
    hello = "ok"
    paths: ClassVar[Mapping[str, str]] = {
        "/step": "POST step",
        "/reset": "POST reset",
        "/close": "POST close",
        "/observation": "GET observation",
        "/available_actions": "GET available_actions",
        "/instruction_text": "GET instruction_text",
    }

    def created(self, number: int) -> object:
        return number

    def failed(self, message: str) -> HttpReply:
        return HttpReply(400, {"error": message})

    async def reset(
        self, number: int, session: ServedSession, fields: Mapping[str, object]
    ) -> list[str | None]:
        goal = fields.get("session_id")
        task = None if goal is None else str(whole_number("session_id", goal))
        return [plain((await self.begin(session, task)).state), None]

    async def step(
        self, number: int, session: ServedSession, fields: Mapping[str, object]
    ) -> dict[str, Any]:
        state = (await self.play(session, fields)).state
        return {"state": plain(state), "reward": state.reward, "done": state.done, "info": None}

    async def available_actions(
        self, number: int, session: ServedSession, fields: object
    ) -> dict[str, Any]:
        offered = await self.available(session)
        has_search_bar = any(action.startswith("search[") for action in offered)
        names = [action[6:-1] for action in offered if action.startswith("click[")]
        return {
            "has_search_bar": has_search_bar,
            "clickables": ["search", *names] if has_search_bar else names,
        }

    async def instruction_text(self, number: int, session: ServedSession, fields: object) -> str:
        return f"Instruction: {self.episode(session).instruction}"
