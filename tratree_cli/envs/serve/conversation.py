"""OpenEnv over a WebSocket: the reply to one message of a session."""

from __future__ import annotations

from typing import Any

from tratree_cli.envs.serve.json_text import decode
from tratree_cli.envs.serve.openenv import (
    action_of,
    error_data,
    message_data,
    reset_data,
    step_data,
)
from tratree_cli.envs.serve.service import Service
from tratree_cli.envs.serve.sessions import ProtocolError, ServedSession


async def reply_to(service: Service, session: ServedSession, data: bytes) -> dict[str, Any] | None:
    """The reply to a message; None for ``close``. Waits for nothing but the environment."""
    try:
        if len(data) > service.limits.message_bytes:
            raise ProtocolError(
                "VALIDATION_ERROR",
                f"the message has {len(data):,} bytes, more than the "
                f"{service.limits.message_bytes:,} that are allowed",
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
