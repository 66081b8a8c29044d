"""The HTTP side (ASGI): the token, the paths, bodies of bounded size, and JSON replies."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from tratree_cli.envs.serve.agentgym import dialect_of
from tratree_cli.envs.serve.json_text import decode, encode
from tratree_cli.envs.serve.openenv_http import OpenEnvHttp
from tratree_cli.envs.serve.peers import Peers
from tratree_cli.envs.serve.requests import HttpReply, HttpRequest
from tratree_cli.envs.serve.service import Service
from tratree_cli.envs.serve.sessions import ElsewhereError, ProtocolError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

AGENTGYM = "/agentgym"
TOKEN_PATH = "/token/"
"""A base URL ``…/token/TOKEN`` serves clients that cannot send a header."""
INDEX = "tratree env serve: OpenEnv at /ws, AgentGym at /agentgym/, see /schema and /health"


class EnvironmentApp:
    """One environment under the paths of both protocols."""

    def __init__(self, service: Service, token: str = "", peers: Peers | None = None) -> None:
        self.service = service
        self._token = token
        self._peers = peers
        self._openenv = OpenEnvHttp(service)
        self._agentgym = dialect_of(service)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        path = self.path_without_token(scope["path"], authorization)
        if path is None and scope["path"] == "/health":
            path = "/health"  # reports only that the server runs
        if path is None:
            await _send(send, HttpReply(401, {"detail": "the token is missing or wrong"}))
            return
        try:
            reply = await self._reply(scope, path, receive)
        except ProtocolError as error:
            status = 413 if error.code == "TOO_LARGE" else 400
            reply = HttpReply(status, {"detail": str(error), "error": str(error)})
        await _send(send, reply)

    async def answer(self, request: HttpRequest) -> HttpReply:
        """The reply of this worker to a request for one of its own sessions, or for none."""
        if request.path.startswith(f"{AGENTGYM}/") or request.path == AGENTGYM:
            if self._agentgym is None:
                name = self.service.environment.spec.name
                return HttpReply(
                    404, {"error": f"AgentGym has no dialect for {name}; use OpenEnv's"}
                )
            inner = HttpRequest(
                request.method, request.path[len(AGENTGYM) :], request.query, request.body
            )
            return await self._agentgym.answer(inner)
        if request.path in ("", "/") and request.method == "GET":
            return HttpReply(200, INDEX)
        if request.path == "/health" and request.method == "GET":
            return HttpReply(200, {"status": "healthy"})
        reply = await self._openenv.answer(request)
        return reply or HttpReply(
            404, {"detail": f"there is no {request.method} {request.path[:80]}"}
        )

    async def _reply(self, scope: Mapping[str, Any], path: str, receive: Receive) -> HttpReply:
        body = await self._body(receive)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        request = HttpRequest(scope["method"], path, query, decode(body) if body else None)
        try:
            return await self.answer(request)
        except ElsewhereError as elsewhere:
            assert self._peers is not None
            return await self._peers.ask(elsewhere.worker, request)

    async def _body(self, receive: Receive) -> bytes:
        most = self.service.limits.message_bytes
        parts, size = [], 0
        while True:
            event: Message = await receive()
            if event["type"] == "http.disconnect":
                raise ProtocolError("SESSION_ERROR", "the client went away")
            parts.append(event.get("body", b""))
            size += len(parts[-1])
            if size > most:
                raise ProtocolError("TOO_LARGE", f"the body is longer than {most:,} bytes")
            if not event.get("more_body"):
                return b"".join(parts)

    def path_without_token(self, path: str, authorization: str) -> str | None:
        """The path as it counts; None where a token is wanted and neither place has it."""
        if not self._token:
            return path
        if path.startswith(TOKEN_PATH):
            token, slash, rest = path[len(TOKEN_PATH) :].partition("/")
            return slash + rest if self._matches(token) else None
        kind, _, token = authorization.partition(" ")
        return path if kind.lower() == "bearer" and self._matches(token.strip()) else None

    def _matches(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(errors="replace"), self._token.encode())


async def _send(send: Send, reply: HttpReply) -> None:
    body = encode(reply.value)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
