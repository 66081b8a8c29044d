"""One simulator in one Java process, called over a socket with as few commands as possible.

The published wrapper asks for everything after every step (all valid actions alone cost 40 to
100 ms); this client asks for the observation, the score and whether the task is over. It asks the
part of the simulator that acts, because the one in front of it also looks around, counts what is
carried and lists all names at every step, for a history that nobody reads. It uses the line
protocol of the gateway (py4j's) itself, because a library in between keeps a pool of connections,
repeats interrupted calls and cannot bound how long a call may take.

The simulator iterates over hash sets of objects in the order of their identity, which Java draws at
random: without ``-XX:hashCode=2`` the same actions lead to different texts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tratree_cli.envs.scienceworld.installation import JAR, jar_problem
from tratree_cli.errors import InputError, StageError

HEAP, YOUNG = "384m", "192m"
"""Simulator objects last one episode; a large young generation saves a tenth of the CPU."""
START_SECONDS = 120.0
STEP_SECONDS = 120.0
"""A step takes milliseconds; this is for a machine that swaps or has far too many processes."""
GOLD_SECONDS = 900.0
"""The simulator's own solution of a genetics task takes it half a minute on a quiet machine."""
_INTERFACE = "scienceworld.runtime.pythonapi.PythonInterface"
_ANSWERED_IN_FRONT = ("help", "objects", "task")
"""Words that never reach the acting part; they change nothing."""
_NOTHING_SAID = (
    "Unknown action.  Type 'help' for a list of actions, and 'objects' for a list of possible "
    "object referents. "
)
"""What the simulator's interface returns in place of an empty observation."""
_ESCAPED = {"\\": "\\", "n": "\n", "r": "\r"}


class SimulatorLostError(Exception):
    """Java died, hangs or sends malformed answers; another process can replay the episode."""


class Simulator:
    """A running simulator. Not thread-safe; one live episode at a time (its state is global)."""

    def __init__(
        self, java: Path, jars: Sequence[Path], hash_code: int, seconds: float = STEP_SECONDS
    ) -> None:
        """Start Java with ``jars``; raises ``StageError`` if it does not come up."""
        self.seconds = seconds
        self._actor = ""
        self._standing: tuple[float, bool] = (0.0, False)
        self._process = _start(java, jars, hash_code)
        try:
            self._connect()
        except (OSError, ValueError, SimulatorLostError) as error:
            self.kill()
            if why := _broken(jars):
                raise StageError(f"the simulator did not start: {why}") from error
            raise StageError(
                f"the simulator did not start ({error}); `{java} -version` should work, and the "
                f"machine needs {HEAP}B of free memory for each"
            ) from error

    @property
    def pid(self) -> int:
        """The process, for whoever wants to look at it."""
        return self._process.pid

    def load(self, task: str, variation: int, simplifications: str, gold: bool = False) -> str:
        """Begin a task; returns its description. ``InputError`` if the simulator refuses it."""
        seconds = GOLD_SECONDS if gold else self.seconds
        refused = str(self._call("load", task, variation, simplifications, gold, seconds=seconds))
        if not refused:
            self._find_actor()
            # Looking is what the published reset does beside loading once more.
            look, _, _ = self.step("look around")
            refused = look if look.startswith("ERROR:") else ""
        if refused:
            raise InputError(f"ScienceWorld refuses {task}/{variation}: {refused.strip()}")
        return str(self._call("getTaskDescription"))

    def step(self, action: str) -> tuple[str, float, bool]:
        """``(observation, score in [-1, 1], over)`` after one action.

        A negative score means that the task has failed for good (a wrong focus). The simulator
        itself would go on; the published wrapper ends the episode there.
        """
        if action.strip().lower() in _ANSWERED_IN_FRONT:
            return str(self._call("step", action)), *self._standing
        command = f"{self._actor}\nstep\n{_argument(action)}\ne\n"
        answer = self._command("c", command, self.seconds)
        result, _ = self._commands(f"c\n{answer}\ntoString\ne\n", _forget(answer))
        # A tuple in Scala's words, "(observation,score,over)"; only the first part has commas.
        observation, score, over = result[1:-1].rsplit(",", 2)
        self._standing = float(score), float(score) < 0 or over == "true"
        return observation or _NOTHING_SAID, *self._standing

    def valid_actions(self) -> str:
        """The actions that have an effect now, in the simulator's own JSON."""
        return str(self._call("getValidActionObjectCombinationsJSON"))

    def gold_path(self) -> list[str]:
        """The simulator's own solution of the task that was loaded with ``gold=True``."""
        actions = self._call("getGoldActionSequence")
        length = int(self._command("c", f"{actions}\nsize\ne\n"))
        listed = (f"c\n{actions}\nget\ni{i}\ne\n" for i in range(length))
        return [str(action) for action in self._commands(*listed, _forget(actions))[:length]]

    def kill(self) -> None:
        """End the process, whatever state it is in; safe to call twice."""
        with contextlib.suppress(AttributeError, OSError):
            self._socket.close()
        with contextlib.suppress(OSError):
            # A stopped process also obeys this one.
            self._process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _find_actor(self) -> None:
        """Every load makes a new one; the gateway would keep the old one for ever."""
        maybe = self._call("agentInterface")
        actor = self._command("c", f"{maybe}\nget\ne\n")
        self._commands(*(_forget(name) for name in (maybe, self._actor) if name))
        self._actor = str(actor)

    def _connect(self) -> None:
        port, token = _greeting(self._process)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self._socket.makefile("rb")
        self._command("A", f"{token}\n")
        # The simulator prints logs to its output: unread they fill the pipe and then it hangs.
        nothing = self._command("c", "z:java.io.OutputStream\nnullOutputStream\ne\n")
        nowhere = self._command("i", f"java.io.PrintStream\nr{nothing}\ne\n")
        self._command("c", f"z:java.lang.System\nsetOut\nr{nowhere}\ne\n")
        self._object = str(self._command("i", f"{_INTERFACE}\ne\n"))

    def _call(self, method: str, *arguments: str | int | bool, seconds: float = 0) -> Any:
        lines = "".join(f"{_argument(value)}\n" for value in arguments)
        return self._command("c", f"{self._object}\n{method}\n{lines}e\n", seconds or self.seconds)

    def _command(self, kind: str, rest: str, seconds: float = START_SECONDS) -> Any:
        [answer] = self._commands(f"{kind}\n{rest}", seconds=seconds)
        return answer

    def _commands(self, *commands: str, seconds: float = START_SECONDS) -> list[Any]:
        """Answers to several commands that are sent at once."""
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall("".join(commands).encode("utf-8", "replace"))
            if len(commands) > 1:
                _acknowledge_at_once(self._socket)
            lines = [self._lines.readline() for _ in commands]
        except OSError as error:
            raise SimulatorLostError(f"no answer within {seconds:.0f} s or at all") from error
        if not all(line.endswith(b"\n") for line in lines):
            raise SimulatorLostError("the process ended")
        return [_answer(line.decode("utf-8", "replace").rstrip("\n")) for line in lines]


def _broken(jars: Sequence[Path]) -> str:
    """Which jar is damaged, where the damage is what kept Java from running it; or nothing."""
    for path in jars:
        stat = path.stat() if path.is_file() else None
        if path.name == JAR and stat is not None:
            problem = jar_problem(path, stat.st_size, stat.st_mtime_ns, thorough=True)
            if problem:
                return f"{path} is broken ({problem}); install it again"
    return ""


def _acknowledge_at_once(connection: socket.socket) -> None:
    """Let the gateway send its second answer: it waits until the first one is acknowledged, which
    the kernel puts off for 40 ms when there is nothing to send along (Nagle and delayed ACK)."""
    if hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _start(java: Path, jars: Sequence[Path], hash_code: int) -> subprocess.Popen[bytes]:
    options = ["-XX:+UnlockExperimentalVMOptions", f"-XX:hashCode={hash_code}"]
    # Loading its classes alone would start a full garbage collection.
    options += [f"-Xmx{HEAP}", f"-Xmn{YOUNG}", "-XX:MetaspaceSize=64m", "-XX:+UseSerialGC"]
    path = os.pathsep.join(map(str, jars))
    # Nobody else on the machine may talk to it: the gateway executes every command.
    server = ["py4j.GatewayServer", "--die-on-broken-pipe", "--enable-auth", "0"]
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]
    return subprocess.Popen(
        [*launcher, str(os.getpid()), str(java), *options, "-classpath", path, *server],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # It leaves a table of its object types wherever it starts.
        cwd=_scratch_folder(),
        # Ctrl-C is handled here; the simulator is ended by this process.
        start_new_session=True,
    )


def _scratch_folder() -> Path:
    """A folder of the user's for what simulators write; all write the same."""
    root = os.environ.get("TRATREE_CACHE") or Path.home() / ".cache" / "tratree"
    folder = Path(root) / "scienceworld"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir())
    return folder


def _greeting(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """The port and the password that the gateway prints when it is up."""
    assert process.stdout is not None
    # A Java process that prints nothing must not be waited for: the timer makes it end.
    timer = threading.Timer(START_SECONDS, process.kill)
    timer.daemon = True
    timer.start()
    try:
        # Java may print warnings of its own first.
        port = next((line.strip() for line in process.stdout if line.strip().isdigit()), b"")
        token = process.stdout.readline().strip()
    finally:
        timer.cancel()
    if not port or not token:
        raise ValueError(f"Java ended or said nothing for {START_SECONDS:.0f} s")
    return int(port), token.decode("ascii")


def _forget(name: str) -> str:
    """The command that makes the gateway let go of an object."""
    return f"m\nd\n{name}\ne\n"


def _argument(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return f"b{str(value).lower()}"
    if isinstance(value, int):
        return f"i{value}"
    return "s" + value.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")


def _answer(line: str) -> Any:
    """The value of an answer: ``!y`` and a typed value, or ``!x`` and an exception."""
    if not line.startswith("!y"):
        raise SimulatorLostError(f"the simulator failed: {line[:200]}")
    kind, text = line[2:3], line[3:]
    if kind == "s":
        return _unescaped(text)
    if kind == "b":
        return text == "true"
    if kind in ("i", "L", "d"):
        return float(text) if kind == "d" else int(text)
    return text  # the name of an object, or nothing


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    parts, rest = [], iter(text)
    for letter in rest:
        if letter == "\\":
            following = next(rest, "")
            parts.append(_ESCAPED.get(following, following))
        else:
            parts.append(letter)
    return "".join(parts)
