"""Worker processes forward to each other the HTTP requests of sessions that they do not hold.

All workers listen at one port and the system distributes connections, so a request for a numbered
session may reach any of them. Each worker also listens on a Unix socket in a private folder; a
request goes there and its reply comes back as one JSON text behind its length.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tratree_cli.envs.serve.requests import HttpReply, HttpRequest

LENGTH = struct.Struct("!Q")


class Peers:
    """The other workers, by number; ``folder`` holds one socket a worker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def listen(
        self, worker: int, answer: Callable[[HttpRequest], Awaitable[HttpReply]]
    ) -> None:
        """Answer what other workers hand over."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                request = HttpRequest(**await _read(reader))
                await _write(writer, asdict(await answer(request)))
            writer.close()

        path = self._path(worker)
        path.unlink(missing_ok=True)  # of a worker that died
        await asyncio.start_unix_server(serve, path)

    async def ask(self, worker: int, request: HttpRequest) -> HttpReply:
        """Have another worker answer; status 503 if it is gone."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path(worker))
            try:
                await _write(writer, asdict(request))
                return HttpReply(**await _read(reader))
            finally:
                writer.close()
        except (OSError, asyncio.IncompleteReadError):
            message = "the worker process that held this session is gone, and the session with it"
            return HttpReply(503, {"error": message, "detail": message})

    def _path(self, worker: int) -> Path:
        return self._folder / f"{worker}.socket"


async def _write(writer: asyncio.StreamWriter, value: object) -> None:
    text = json.dumps(value).encode()
    writer.write(LENGTH.pack(len(text)) + text)
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Any:
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    return json.loads(await reader.readexactly(length))
