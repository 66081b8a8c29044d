"""One worker process: the web server around the application, until it gets SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tratree_cli.envs.serve.asgi import EnvironmentApp
from tratree_cli.envs.serve.listening import BACKLOG
from tratree_cli.envs.serve.peers import Peers
from tratree_cli.envs.serve.service import Service

LAST_SECOND = 1.8
"""Seconds after SIGTERM at which the process ends whatever is still going on."""
DRAIN_SECONDS = 1.2
"""Seconds in which answers that are being made are waited for."""
LARGEST_FRAME = 16
"""A WebSocket message up to so many times the allowed size is refused with an error message; a
larger one is not even read and costs the connection."""


@dataclass(frozen=True)
class Worker:
    """What a worker process serves, where, and with whom."""

    service: Service
    listening: socket.socket
    token: str = ""
    peers: Peers | None = None

    def run(self, ready: Callable[[], object]) -> None:
        """Serve until SIGTERM or Ctrl-C; ``ready`` is called once connections are answered."""
        import uvicorn

        from tratree_cli.envs.serve.socket_protocol import SessionProtocol

        app = EnvironmentApp(self.service, self.token, self.peers)
        config = uvicorn.Config(
            app,
            http="h11",
            ws=SessionProtocol,
            lifespan="off",
            log_config=None,
            log_level="error",  # clients get their own errors, perhaps by thousands
            access_log=False,
            server_header=False,
            date_header=False,
            interface="asgi3",
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
            ws_max_size=LARGEST_FRAME * self.service.limits.message_bytes,
        )
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(self._serve(uvicorn.Server(config), app, ready))

    async def _serve(self, server: Any, app: EnvironmentApp, ready: Callable[[], object]) -> None:
        sessions = self.service.sessions
        if self.peers is not None:
            await self.peers.listen(sessions.worker, app.answer)
        serving = asyncio.create_task(server.serve(sockets=[self.listening]))
        while not server.started:
            await asyncio.sleep(0.01)
            if serving.done():
                await serving
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        ready()
        while not stop.is_set() and not serving.done():
            sessions.give_up_idle()
            await _wait(stop, min(5.0, sessions.idle_seconds / 4))
        _end_in(LAST_SECOND)
        sessions.drain()
        deadline = loop.time() + DRAIN_SECONDS
        while sessions.busy and loop.time() < deadline:
            await asyncio.sleep(0.01)
        server.should_exit = True
        await serving


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


def _end_in(seconds: float) -> None:
    """A simulator that does not answer, or a client that does not read, must not delay the end."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()
