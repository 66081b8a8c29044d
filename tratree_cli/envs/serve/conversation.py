"""OpenEnv over a WebSocket: one connection is one session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from tratree_cli.envs.serve.json_text import decode, encode
from tratree_cli.envs.serve.openenv import (
    action_of,
    error_data,
    message_data,
    reset_data,
    step_data,
)
from tratree_cli.envs.serve.service import Service
from tratree_cli.envs.serve.sessions import ProtocolError, Session

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

GOING_AWAY = 1001
TRY_AGAIN_LATER = 1013


class Conversation:
    """One WebSocket: reads a message, answers it, reads the next.

    The next message is not read before the last answer is on its way, so a client that does not
    read holds one answer in memory and not many.
    """

    def __init__(self, service: Service, receive: Receive, send: Send) -> None:
        self._service = service
        self._receive = receive
        self._send = send
        self._closed = False
        self._ending: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve the connection until one side closes it."""
        service = self._service
        await self._receive()  # websocket.connect
        await self._send({"type": "websocket.accept"})
        try:
            session = service.sessions.open(self._end)
        except ProtocolError as error:
            await self._say({"type": "error", "data": error_data(error)})
            await self.close(TRY_AGAIN_LATER, "all sessions are in use")
            return
        try:
            while not service.sessions.draining:
                event = await self._receive()
                if event["type"] != "websocket.receive":
                    return
                reply = await self._answer(session, event.get("text") or event.get("bytes") or "")
                if reply is None:
                    await self.close(1000, "")
                    return
                await self._say(reply)
            await self.close(GOING_AWAY, "the server stops")
        finally:
            self._closed = True
            service.sessions.close(session)

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, once."""
        if not self._closed:
            self._closed = True
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def _say(self, message: Mapping[str, Any]) -> None:
        if not self._closed:
            await self._send({"type": "websocket.send", "text": encode(message).decode()})

    def _end(self, reason: str) -> None:
        """Say why the server ends the session, and close; a reader that is stuck delays nobody."""

        async def end() -> None:
            data = {"message": reason, "code": "SESSION_ERROR"}
            with contextlib.suppress(OSError):  # the client was faster
                await self._say({"type": "error", "data": data})
                await self.close(GOING_AWAY, reason)

        if self._ending is None:
            self._ending = asyncio.create_task(end())

    async def _answer(self, session: Session, data: str | bytes) -> dict[str, Any] | None:
        """The reply to one message; None for ``close``."""
        service = self._service
        try:
            if len(data) > service.limits.message_bytes:
                raise ProtocolError(
                    "VALIDATION_ERROR",
                    f"the message has {len(data):,} characters; "
                    f"{service.limits.message_bytes:,} are allowed",
                )
            message = decode(data)
            kind = message.get("type") if isinstance(message, dict) else None
            if kind == "close":
                return None
            if kind == "state":
                return {"type": "state", "data": service.state(session)}
            if kind == "reset":
                wanted = message_data(message, required=False)
                answer = await service.call(session, service.reset, session, wanted)
                return {"type": "observation", "data": reset_data(answer, wanted)}
            if kind == "step":
                text = action_of(message_data(message))
                answer = await service.call(session, service.step, session, text)
                return {"type": "observation", "data": step_data(answer)}
            raise ProtocolError(
                "UNKNOWN_TYPE", "a message is an object whose type is reset, step, state or close"
            )
        except ProtocolError as error:
            return {"type": "error", "data": error_data(error)}
