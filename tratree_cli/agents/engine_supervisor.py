"""The process that owns a serving engine: it starts it, and nothing of it outlives its last user.

Users hold a connection to a Unix socket. The system closes it however a user dies, and when the
last one is closed the engine's processes are ended: SIGTERM, then SIGKILL, to the group and to
every process that carries the mark which the engine was started with (engines start helpers in
groups of their own, which outlive them and keep the GPU). Three things hold if this process itself
is killed: the engine's first process gets the parent-death signal (Linux), a second small process
(``_guard``) ends the rest, and the next user ends what is left.

Run as a program by ``managed_server`` with a ``ServerTask`` on stdin; it imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from pathlib import Path

MARK = "TRATREE_ENGINE_PROCESS"
"""In the environment of an engine's processes, and of no other's: the token of its start."""
PORT, KEY_FILE = "{port}", "{key_file}"
"""In an engine's arguments: its port, and a file with its key for an engine that reads no
environment."""
LAST_LINES = 12
_DEATH_SIGNAL, _SUBREAPER = 1, 36
_AFTER_KILL = 5.0


@dataclass(frozen=True)
class ServerTask:
    """What to start and where its files are. ``listener`` is an inherited file descriptor."""

    argv: list[str]
    environment: dict[str, str]
    key: str
    port: int
    token: str
    stop_seconds: float
    place: str
    """The path of the server's files without their suffixes: .lock, .sock, .log, .token, .key."""
    listener: int


def main() -> None:
    task = ServerTask(**json.load(sys.stdin))
    listener = socket.socket(fileno=task.listener)
    _linux("prctl", _SUBREAPER, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    guard = _guard(task)
    engine = _Engine(task)
    held: object = None
    try:
        engine.start()
        guard(engine.group)
        held = _serve_users(engine, listener)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        engine.stop()
        for suffix in (".key", ".token", ".sock"):
            Path(task.place + suffix).unlink(missing_ok=True)
        guard(0)
    del held


class _Engine:
    """The engine's processes."""

    def __init__(self, task: ServerTask) -> None:
        self.task = task
        self.group = 0
        self.ended = ""
        """How the first process ended; empty while it runs."""

    def start(self) -> None:
        task, place = self.task, self.task.place
        key_file = Path(place + ".key")
        if KEY_FILE in task.argv:
            key_file.touch(0o600)
            key_file.write_text(f"api-key: {task.key}\n", "utf-8")
        filled = {PORT: str(task.port), KEY_FILE: str(key_file)}
        with Path(place + ".log").open("ab") as log:
            try:
                started = subprocess.Popen(
                    [filled.get(word, word) for word in task.argv],
                    env={**os.environ, **task.environment, MARK: task.token},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    # This process has one thread, so that code between fork and exec is safe.
                    preexec_fn=lambda: _linux("prctl", _DEATH_SIGNAL, signal.SIGKILL),
                )
                self.group = started.pid
                started.returncode = 0  # ``reap`` waits for it, and no one else
            except OSError as error:
                self.ended = f"could not be started ({error})"

    def reap(self) -> None:
        """Take the status of every process that ended; orphans of the engine come here too."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.group:
                    code = os.waitstatus_to_exitcode(ended[1])
                    self.ended = f"ended by signal {-code}" if code < 0 else f"exited with {code}"

    def stop(self) -> None:
        end_processes(self.task.token, self.group, self.task.stop_seconds, self.reap)


def _serve_users(engine: _Engine, listener: socket.socket) -> object:
    """Until the last user is gone or the engine ended.

    Returns the lock, which who wants the server takes first: nobody comes between the last look
    and the end. The users that have left last are kept open with it, so that they can wait.
    """
    task, users = engine.task, selectors.DefaultSelector()
    lock_file = Path(task.place + ".lock")
    listener.setblocking(False)
    users.register(listener, selectors.EVENT_READ)
    hello = _line({"port": task.port, "key": task.key, "pid": engine.group})
    leaving: list[socket.socket] = []
    _accept(listener, users, hello)
    while not engine.ended:
        for ready, _ in users.select(0.2):
            user = ready.fileobj
            assert isinstance(user, socket.socket)
            if user is listener:
                _accept(listener, users, hello)
            elif _has_left(user):
                users.unregister(user)
                leaving.append(user)
        engine.reap()
        if len(users.get_map()) > 1:
            leaving.clear()
        elif lock := _locked(lock_file, fcntl.LOCK_NB):
            if not _accept(listener, users, hello):
                return lock, leaving
            lock.close()
    lock = _locked(lock_file)
    _accept(listener, users, hello)
    farewell = _line({"ended": engine.ended, "log": last_lines(task.place, task.key)})
    for waiting in list(users.get_map().values()):
        if isinstance(waiting.fileobj, socket.socket) and waiting.fileobj is not listener:
            with contextlib.suppress(OSError):
                waiting.fileobj.sendall(farewell)
    return lock, leaving


def _accept(listener: socket.socket, users: selectors.BaseSelector, hello: bytes) -> int:
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            user, _ = listener.accept()
            user.setblocking(True)
            with contextlib.suppress(OSError):
                user.sendall(hello)
            users.register(user, selectors.EVENT_READ)
            count += 1
    return count


def _has_left(user: socket.socket) -> bool:
    try:
        return not user.recv(64)
    except OSError:
        return True


def _locked(path: Path, flag: int = 0) -> TextIOWrapper | None:
    """The open and locked lock file; None where it could not be locked at once (``LOCK_NB``)."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | flag)
    except OSError:
        file.close()
        return None
    return file


def _guard(task: ServerTask) -> Callable[[int], None]:
    """Fork a process that ends the engine if this one is killed; returns what tells it the group.

    Group 0 says that all is over.
    """
    reader, writer = os.pipe()
    if os.fork():
        os.close(reader)

        def say(group: int) -> None:
            with contextlib.suppress(OSError):
                os.write(writer, f"{group}\n".encode())

        return say
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.close(writer)
    os.close(task.listener)
    with os.fdopen(reader) as said:
        groups = said.read().split()
    if groups[-1:] != ["0"]:
        end_processes(task.token, int(groups[0]) if groups else 0, task.stop_seconds)
    os._exit(0)


def end_processes(
    token: str, group: int, seconds: float, reap: Callable[[], None] = lambda: None
) -> None:
    """SIGTERM to what carries ``token`` or is in ``group``; SIGKILL to what is left of it after
    ``seconds``. Returns when nothing is left."""
    for number, limit in ((signal.SIGTERM, seconds), (signal.SIGKILL, _AFTER_KILL)):
        deadline = time.monotonic() + limit
        pause, signalled = 0.01, set[int]()
        while True:
            reap()
            left = set(_processes(token, group))
            if not left:
                return
            for process in left - signalled:
                with contextlib.suppress(OSError):
                    os.kill(process, number)
            signalled |= left
            if time.monotonic() > deadline:
                break
            time.sleep(pause)
            pause = min(0.2, 2 * pause)


def _processes(token: str, group: int) -> Iterator[int]:
    """The living processes of a start. Without /proc those of the group, as ``-group``."""
    proc = Path("/proc")
    if not (proc / "self" / "environ").exists():
        with contextlib.suppress(OSError):
            if group:
                os.killpg(group, 0)
                yield -group
        return
    mark = f"{MARK}={token}".encode()
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            if fields[0] in (b"Z", b"X"):
                continue
            in_group = bool(group) and int(fields[2]) == group
            if in_group or mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)
        except (OSError, IndexError):
            continue


def last_lines(place: str, key: str) -> str:
    """The end of the engine's log, without its key."""
    try:
        with Path(place + ".log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-LAST_LINES:]).replace(key, "***")


def task_line(task: ServerTask) -> bytes:
    return _line(asdict(task))


def _line(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _linux(function: str, *arguments: int) -> None:
    """Call a function of Linux's C library; other systems have no such thing."""
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), function)(*arguments)


if __name__ == "__main__":
    main()
