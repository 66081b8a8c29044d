"""A serving engine that tratree starts itself and shares between all who want the same one.

``join`` returns a ``Lease``. Who comes first starts a supervisor (``engine_supervisor``), a process
of its own that starts the engine and ends it when the last lease is closed or its holder is dead;
who comes later, from any process of this user, gets the same server. A lock file decides who is
first. Port and key are made up by who starts it and are told over a Unix socket that only this user
can open; the key reaches the engine in its environment, never in its arguments.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tratree_cli.agents.engine_supervisor import ServerTask, end_processes, last_lines, task_line
from tratree_cli.agents.http_client import HttpAnswer, JsonClient, Unreachable
from tratree_cli.errors import InputError, StageError

START_SECONDS, STOP_SECONDS = "TRATREE_ENGINE_START_SECONDS", "TRATREE_ENGINE_STOP_SECONDS"
_LIMITS = {START_SECONDS: 600.0, STOP_SECONDS: 10.0}
_LONGEST_PATH = 100
"""Bytes of a Unix socket's path, which the system limits to some 104."""

_supervisors: list[subprocess.Popen[bytes]] = []
"""Those that this process started and that may still run."""


@dataclass(frozen=True)
class ServerCommand:
    """How one server is started; equal commands share it.

    ``argv`` has ``{port}`` where the port belongs, and ``{key_file}`` where a file with the key
    does. ``key_variable`` is the environment variable from which the engine reads its key.
    ``ready`` is the path that it answers with 200 once it can be used.
    """

    engine: str
    argv: tuple[str, ...]
    ready: str
    key_variable: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        cache = os.environ.get("TRATREE_CACHE", "")
        content = json.dumps([asdict(self), cache], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def limit(variable: str) -> float:
    """The seconds that an environment variable sets, or the default."""
    text = os.environ.get(variable, "")
    try:
        return float(text) if text else _LIMITS[variable]
    except ValueError:
        raise InputError(f"{variable}={text}: expected a number of seconds") from None


def join(command: ServerCommand) -> Lease:
    """A lease of the server that runs with ``command``, which is started if there is none."""
    if not hasattr(socket, "AF_UNIX"):
        raise InputError(f"--engine {command.engine} needs Unix sockets, which are missing here")
    place = _folder() / command.digest
    with _locked(place.with_suffix(".lock")):
        try:
            connection = _connected(place.with_suffix(".sock"))
        except OSError:
            connection = _started(command, place)
    return Lease(command, place, connection)


class Lease:
    """The right to use a server; it runs as long as any lease of it is open."""

    def __init__(self, command: ServerCommand, place: Path, connection: socket.socket) -> None:
        self.command = command
        self._place = place
        self._connection = connection
        self._lines = b""
        self._ended = ""
        self._hello: dict[str, object] = {}
        self.key = ""
        self.url = ""
        while not self._hello:
            self._hear(None)
            self._require_running()
        self.key = str(self._hello["key"])
        self.url = f"http://127.0.0.1:{self._hello['port']}"

    def wait_until_ready(self) -> None:
        """Return when the server answers; ``StageError`` with its last lines if it never does."""
        seconds = limit(START_SECONDS)
        deadline = time.monotonic() + seconds
        while True:
            self._hear(0.25)
            self._require_running()
            with contextlib.suppress(Unreachable):
                if self.ask(self.command.ready, timeout=5.0).status == 200:
                    return
            if time.monotonic() > deadline:
                raise StageError(
                    f"{self.command.engine} did not answer within {seconds:.0f} seconds "
                    f"({START_SECONDS} allows more){self._said(self._log())}"
                )

    def ask(self, path: str, content: object = None, timeout: float = 120.0) -> HttpAnswer:
        """The answer to one GET, or to one POST of ``content``, which is not tried again."""
        client = JsonClient([self.url], key=self.key, timeout=timeout, retries=0)
        try:
            return client.get(path) if content is None else client.post(path, content)
        finally:
            client.close()

    def why_ended(self) -> str:
        """How the engine ended and its last lines; empty while it runs."""
        self._hear(0.0)
        return self._ended

    def wait_until_ended(self) -> str:
        """Wait for the engine to end by itself; returns how it did."""
        while not self._ended:
            self._hear(None)
        return self._ended

    def close(self) -> None:
        """Give the lease back; of the last one this waits until the engine is gone."""
        if self._connection.fileno() < 0:
            return
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.settimeout(limit(STOP_SECONDS) + 15)
            while self._connection.recv(4096):
                pass
        self._connection.close()
        _supervisors[:] = [one for one in _supervisors if one.poll() is None]

    def _hear(self, seconds: float | None) -> None:
        """Take in what the supervisor says within ``seconds``."""
        if self._ended:
            return
        try:
            self._connection.settimeout(seconds)
            heard = self._connection.recv(65536)
        except (BlockingIOError, TimeoutError):
            return
        except OSError:
            heard = b""
        if not heard:
            self._ended = f"its supervisor was ended{self._said(self._log())}"
        *lines, self._lines = (self._lines + heard).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "ended" in said:
                self._ended = f"it {said['ended']}{self._said(said['log'])}"
            else:
                self._hello = said

    def _require_running(self) -> None:
        if self._ended:
            self.close()
            raise StageError(f"{self.command.engine} stopped: {self._ended}")

    def _log(self) -> str:
        return last_lines(str(self._place), self.key or "\0")

    def _said(self, lines: object) -> str:
        return f"; its last lines are:\n{lines}" if lines else "; it wrote nothing"


def _folder() -> Path:
    """A folder of this user alone for sockets, locks and logs."""
    name = f"tratree-engines-{os.getuid()}"
    folder = Path(tempfile.gettempdir()) / name
    if len(os.fsencode(folder)) + 22 > _LONGEST_PATH:
        folder = Path("/tmp") / name
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or folder.is_symlink():
        raise InputError(f"{folder} can be read by others; remove it, or set TMPDIR to a folder")
    return folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def _started(command: ServerCommand, place: Path) -> socket.socket:
    """Start the supervisor; what one that was killed left over is ended first."""
    token_file, path = place.with_suffix(".token"), place.with_suffix(".sock")
    if token_file.exists():
        end_processes(token_file.read_text("utf-8"), 0, limit(STOP_SECONDS))
    path.unlink(missing_ok=True)
    token, key = secrets.token_hex(16), os.environ.get("TRATREE_API_KEY") or secrets.token_hex(16)
    token_file.touch(0o600)
    token_file.write_text(token, "utf-8")
    environment = dict(command.environment)
    if command.key_variable:
        environment[command.key_variable] = key
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(64)
        # Before the supervisor runs, so that it never sees a moment without a user.
        connection = _connected(path)
        task = ServerTask(
            argv=list(command.argv),
            environment=environment,
            key=key,
            port=_free_port(),
            token=token,
            stop_seconds=limit(STOP_SECONDS),
            place=str(place),
            listener=listener.fileno(),
        )
        with place.with_suffix(".log").open("wb") as log:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "tratree_cli.agents.engine_supervisor"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                # Ctrl-C at the terminal is for its users, who tell it by leaving.
                start_new_session=True,
            )
    _supervisors.append(supervisor)
    assert supervisor.stdin is not None
    with contextlib.suppress(BrokenPipeError), supervisor.stdin:
        supervisor.stdin.write(task_line(task))
    return connection


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
