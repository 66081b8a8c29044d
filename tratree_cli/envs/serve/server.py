"""``tratree env serve``: one process that serves an environment, or several at one port."""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, MutableSequence, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

from tratree_cli.envs.protocol import Environment, optional
from tratree_cli.envs.serve.asgi import TOKEN_PATH
from tratree_cli.envs.serve.listening import is_loopback, listen, url
from tratree_cli.envs.serve.peers import Peers
from tratree_cli.envs.serve.service import Service, ServiceLimits
from tratree_cli.envs.serve.sessions import Sessions
from tratree_cli.envs.serve.worker import Worker
from tratree_cli.envs.task_choice import TaskChooser
from tratree_cli.errors import InputError, StageError, TratreeError
from tratree_cli.processes import exit_with_parent

PACKAGES = ("uvicorn", "websockets", "h11")
FILES_BESIDE_SESSIONS = 64
STOP_SECONDS = 2.0


@dataclass(frozen=True)
class Settings:
    """Where and how an environment is served; the token is generated where one is needed."""

    host: str = "127.0.0.1"
    port: int = 0
    workers: int = 1
    token: str = ""
    limits: ServiceLimits = field(default_factory=ServiceLimits)


def serve(opener: Callable[[], Environment], settings: Settings, announce: Callable[[str], object],
          say: Callable[[str], object]) -> None:  # fmt: skip
    """Serve what ``opener`` opens until SIGTERM or Ctrl-C.

    ``announce`` gets the URL once connections are answered, ``say`` the warnings for people.
    """
    _check(settings)
    token = settings.token
    if not token and not is_loopback(settings.host):
        token = secrets.token_urlsafe(24)
    environment = opener()
    try:
        TaskChooser(environment, settings.limits.split)  # a wrong --split is known now
        sockets = listen(settings.host, settings.port, settings.workers)
        address = url(sockets[0], settings.host) + (TOKEN_PATH + token if token else "")
        allowed = _allow_files(settings.limits.sessions + FILES_BESIDE_SESSIONS)
        if allowed * settings.workers < settings.limits.sessions:
            say(f"the system allows {allowed:,} open files a process, so fewer sessions fit; "
                "raise it (ulimit -n)")  # fmt: skip
        if settings.workers == 1:
            sessions = Sessions(settings.limits.sessions, settings.limits.idle_seconds, [0])
            service = Service(environment, settings.limits, sessions)
            Worker(service, sockets[0], token).run(lambda: announce(address))
            return
        with tempfile.TemporaryDirectory(prefix="tratree-serve-") as folder:
            workers = Workers(opener, environment, settings, token, sockets, Path(folder), say)
            workers.run(lambda: announce(address))
    finally:
        environment.close()


def _check(settings: Settings) -> None:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"serving needs the package {missing[0]}; pip install 'tratree[serve-env]'"
        )
    limits = settings.limits
    if min(settings.workers, limits.sessions, limits.message_bytes) < 1 or limits.max_steps < 0:
        raise InputError("--workers, --sessions and --message-bytes are 1 or more, --max-steps 0")
    if not limits.idle_seconds > 0:
        raise InputError("--idle is a number of seconds above 0")
    if settings.workers > 1 and not (hasattr(os, "fork") and hasattr(socket, "SO_REUSEPORT")):
        raise InputError("several workers need a system that can fork; leave out --workers")
    if not all(c.isascii() and (c.isalnum() or c in "-._~") for c in settings.token):
        raise InputError("a token is made of ASCII letters, digits and -._~")


def _allow_files(wanted: int) -> int:
    """Raise this process's limit of open files as far as it goes; return the limit."""
    try:
        import resource
    except ImportError:
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if soft == resource.RLIM_INFINITY else soft


@dataclass
class Workers:
    """Several worker processes, each with its own socket at the one port.

    They are forked, so that an environment which is all in memory is there once; any other is
    opened again in each. A worker that dies is replaced; its sessions are lost.
    """

    opener: Callable[[], Environment]
    environment: Environment
    settings: Settings
    token: str
    sockets: Sequence[socket.socket]
    folder: Path
    say: Callable[[str], object]
    _processes: list[Any] = field(default_factory=list)
    _counts: MutableSequence[int] = field(default_factory=list)

    def run(self, announce: Callable[[], object]) -> None:
        """Start all, announce, replace what dies, and stop all at SIGTERM or Ctrl-C."""
        context = get_context("fork")
        self._counts = context.Array("q", self.settings.workers, lock=False)
        gc.collect()
        gc.freeze()  # shared objects are not scanned by the collector, which would copy them
        try:
            with _interruptible():
                for worker in range(self.settings.workers):
                    self._processes.append(self._start(worker))
                announce()
                while True:
                    connection.wait([process.sentinel for process in self._processes])
                    self._replace_dead()
        except KeyboardInterrupt:
            return
        finally:
            self._stop()

    def _start(self, worker: int) -> Any:
        """A worker that answers; ``StageError`` if it does not get so far."""
        context = get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=self._work, args=(worker, sender), daemon=True)
        process.start()
        sender.close()
        connection.wait([receiver, process.sentinel])
        try:
            receiver.recv_bytes()
        except EOFError:
            process.join()
            raise StageError(
                f"worker process {worker} ended before it served (exit {process.exitcode})"
            ) from None
        return process

    def _replace_dead(self) -> None:
        for worker, process in enumerate(self._processes):
            if not process.is_alive():
                self.say(f"worker process {worker} died (exit {process.exitcode}); its sessions "
                         "are lost, another takes its place")  # fmt: skip
                self._processes[worker] = self._start(worker)

    def _work(self, worker: int, ready: Any) -> None:
        exit_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
        settings = self.settings
        sessions = Sessions(
            settings.limits.sessions, settings.limits.idle_seconds, self._counts, worker
        )
        shared = optional(self.environment, "in_memory")
        environment, code = self.environment, 1
        try:
            environment = environment if shared else self.opener()
            service = Service(environment, settings.limits, sessions)
            served = Worker(service, self.sockets[worker], self.token, Peers(self.folder))
            served.run(lambda: ready.send_bytes(b"ready"))
            code = 0
        except TratreeError as error:
            self.say(f"worker process {worker}: {error}")
        except Exception:  # noqa: BLE001 - a bug, shown here because nothing above this will
            traceback.print_exc()
        finally:
            environment.close()
            sys.stderr.flush()
            os._exit(code)

    def _stop(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()


@contextlib.contextmanager
def _interruptible() -> Any:
    """SIGTERM counts as Ctrl-C here."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
