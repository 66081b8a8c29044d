"""Servers as processes of their own, and a plain client."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
COMMAND = (sys.executable, "-m", "tratree_cli.app", "env", "serve")


@dataclass(frozen=True)
class Session:
    """A WebSocket that speaks OpenEnv."""

    socket: Any

    def send(self, value: object) -> None:
        self.socket.send(value if isinstance(value, str | bytes) else json.dumps(value))

    def receive(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.socket.recv(timeout=60))
        return answer

    def ask(self, value: object) -> dict[str, Any]:
        self.send(value)
        return self.receive()

    def reset(self, **wanted: object) -> dict[str, Any]:
        return self.ask({"type": "reset", "data": wanted})["data"]

    def step(self, action: object) -> dict[str, Any]:
        return self.ask({"type": "step", "data": {"action": action}})["data"]

    def error(self, value: object) -> str:
        """The code of the error that a message is answered with."""
        answer = self.ask(value)
        assert answer["type"] == "error" and answer["data"]["message"], answer
        return str(answer["data"]["code"])

    def lives(self) -> bool:
        """Whether the session still answers."""
        return self.ask({"type": "state"})["type"] == "state"


@dataclass(frozen=True)
class Server:
    """A running ``tratree env serve``."""

    url: str
    process: subprocess.Popen[str]

    @contextmanager
    def session(self, **options: Any) -> Iterator[Session]:
        from websockets.sync.client import connect

        address = self.url.replace("http", "ws", 1) + "/ws"
        with connect(address, compression=None, max_size=None, **options) as socket:
            yield Session(socket)

    def http(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def post(self, path: str, **fields: object) -> Any:
        status, value = self.http("POST", path, fields)
        assert status == 200, value
        return value

    def get(self, path: str) -> Any:
        status, value = self.http("GET", path)
        assert status == 200, value
        return value

    def stop(self) -> str:
        """Stop it as a supervisor would; return what it wrote on stderr."""
        self.process.terminate()
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return errors


Start = Callable[..., Server]


@contextmanager
def started() -> Iterator[Start]:
    """A function that starts servers, all of which end with the context."""
    with ExitStack() as stack:

        def start(name: str, *options: str) -> Server:
            process = subprocess.Popen(
                [*COMMAND, name, *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=REPOSITORY,
            )
            stack.callback(_end, process)
            assert process.stdout is not None and process.stderr is not None
            line = process.stdout.readline()
            assert line.startswith("http://"), process.stderr.read()
            return Server(line.strip(), process)

        yield start


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.fixture(scope="session", autouse=True)
def web_server() -> None:
    """Skips where the extra is not installed."""
    for package in ("uvicorn", "websockets"):
        pytest.importorskip(package, reason="needs: pip install 'tratree[serve-env]'")


@pytest.fixture
def start() -> Iterator[Start]:
    with started() as start:
        yield start


@pytest.fixture(scope="module")
def shop() -> Iterator[Server]:
    """A WebShop that a module's tests share."""
    with started() as start:
        yield start("webshop")
