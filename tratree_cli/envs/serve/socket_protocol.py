"""The WebSocket of a session, as the asyncio protocol that uvicorn hands an upgraded connection to.

uvicorn's own class keeps a task, queues, the request and a scope for every connection, three times
the memory of this one and of the session together; thousands of them wait here. Frames are read
and written by ``websockets.server.ServerProtocol``, which does no input or output itself.

The next message is not looked at before the last reply is on its way, and nothing is read while
the client does not read: a client that does not holds one reply in memory and not many.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tratree_cli.envs.serve.conversation import reply_to
from tratree_cli.envs.serve.json_text import encode
from tratree_cli.envs.serve.openenv import error_data
from tratree_cli.envs.serve.sessions import ProtocolError, ServedSession

if TYPE_CHECKING:
    from tratree_cli.envs.serve.asgi import EnvironmentApp

GOING_AWAY, TRY_AGAIN_LATER, SERVICE_RESTART = 1001, 1013, 1012
CLOSE_SECONDS = 10.0
"""How long a client may take to answer our close frame."""
SILENT = logging.getLogger("tratree.serve.silent")
SILENT.disabled = True


class SessionProtocol(asyncio.Protocol):
    """One connection, from its handshake to its end."""

    __slots__ = (
        "_app",
        "_closing",
        "_connections",
        "_fragments",
        "_frames",
        "_messages",
        "_session",
        "_transport",
        "_unread",
        "_working",
    )

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> None:
        self._app: EnvironmentApp = config.app
        self._connections: set[Any] = server_state.connections
        self._frames = ServerProtocol(max_size=config.ws_max_size, logger=SILENT)
        self._transport: Any = None
        self._session: ServedSession | None = None
        self._messages: deque[bytes] | None = None
        """What was read and not answered yet; None most of the time."""
        self._fragments: list[bytes] | None = None
        self._working = False
        self._unread = False
        self._closing = False

    # What asyncio and uvicorn call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._frames.receive_data(data)
        for event in self._frames.events_received():
            if isinstance(event, Request):
                self._open(event)
            elif isinstance(event, Frame):
                self._read(event)
        self._flush()
        self._work()
        self._listen()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._connections.discard(self)
        if self._session is not None:
            self._app.service.sessions.close(self._session)

    def pause_writing(self) -> None:
        self._unread = True

    def resume_writing(self) -> None:
        self._unread = False
        self._work()
        self._listen()

    def shutdown(self) -> None:
        """Called by uvicorn when the server ends."""
        self._close(SERVICE_RESTART, "the server stops")
        self._transport.close()

    # The handshake.

    def _open(self, request: Request) -> None:
        answer = self._frames.accept(request)
        if answer.status_code == 101:
            path, authorization = request.path, request.headers.get("Authorization", "")
            if self._app.path_without_token(path.partition("?")[0], authorization) != "/ws":
                answer = self._frames.reject(403, "no such WebSocket, or the token is wrong")
        self._frames.send_response(answer)
        if answer.status_code != 101:
            self._closing = True
            self._flush()
            self._transport.close()
            return
        try:
            self._session = self._app.service.sessions.open(self._end)
        except ProtocolError as error:
            self._say({"type": "error", "data": error_data(error)})
            self._close(TRY_AGAIN_LATER, "all sessions are in use")

    # Messages.

    def _read(self, frame: Frame) -> None:
        """Take a frame; the library has answered pings and closes itself."""
        if self._closing or frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if not frame.fin or frame.opcode is Opcode.CONT:
            if self._fragments is None:
                self._fragments = []
            self._fragments.append(bytes(frame.data))
            if not frame.fin:
                return
        message = bytes(frame.data) if self._fragments is None else b"".join(self._fragments)
        self._fragments = None
        if self._messages is None:
            self._messages = deque()
        self._messages.append(message)

    def _work(self) -> None:
        """Answer the next message, unless one is being answered or the client does not read."""
        if self._closing:
            self._messages = None
        if self._working or self._unread or not self._messages:
            return
        data = self._messages.popleft()
        if not self._messages:
            self._messages = None
        service, session = self._app.service, self._session
        assert session is not None
        self._working = True
        if service.waits:
            service.in_background(self._answer(session, data))
            return
        # An environment that is all in memory waits for nothing, so this ends at the first step.
        answering = self._answer(session, data)
        try:
            answering.send(None)
        except StopIteration:
            return
        answering.close()
        raise RuntimeError("an environment in memory had to wait")

    async def _answer(self, session: ServedSession, data: bytes) -> None:
        reply = await reply_to(self._app.service, session, data)
        self._working = False
        if reply is None:
            self._close(1000, "")
        else:
            self._say(reply)
        if self._app.service.sessions.draining:
            self._close(GOING_AWAY, "the server stops")
        if self._closing:
            return
        if self._messages:
            # After the others have had their turn.
            asyncio.get_running_loop().call_soon(self._work)
        self._listen()

    def _say(self, message: object) -> None:
        if not self._closing:
            self._frames.send_text(encode(message))
            self._flush()

    # The end.

    def _end(self, reason: str) -> None:
        """The server ends the session: send the reason, and close."""
        self._say({"type": "error", "data": {"message": reason, "code": "SESSION_ERROR"}})
        self._close(GOING_AWAY, reason)

    def _close(self, code: int, reason: str) -> None:
        if not self._closing:
            self._closing = True
            self._frames.send_close(code, reason)
            self._flush()
            self._listen()
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.close)

    def _listen(self) -> None:
        """Read from the socket unless messages wait; at the end for the client's close frame."""
        if self._transport.is_closing():
            return
        if self._closing or not (self._messages or self._working):
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _flush(self) -> None:
        """Write what the library wants written; an empty piece closes the connection."""
        for piece in self._frames.data_to_send():
            if piece:
                self._transport.write(piece)
            else:
                self._closing = True
                self._transport.close()
