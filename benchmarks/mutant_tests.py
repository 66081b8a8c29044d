"""The tests that may notice a mutant, run in a copy of the tree, the quick ones first.

A first run without a mutant records how long each test takes and which functions it enters, also in
the processes that it starts. With a mutant, the tests that enter the changed function run, the
quick ones before the slow ones, up to the first failure. For a line outside all functions all tests
run, those that enter a function of its file first.
Each run is a fork of this process, in which pytest and other people's packages are loaded already;
this project's own modules are not, so the fork reads them from the copy.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import os
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

OWN = ("benchmarks", "tests", "tratree_cli", "tratree_store")
"""Packages that a fork must read from the copy."""
ENTRANCES = ("store/tratree_store/__init__.py", "tratree_cli/__init__.py")
"""One of these is the first file of this project that a process imports."""
_NOT_IN_TIME = 30
"""Seconds beyond five times those of the first run after which a test hangs."""

# What a process of a test does at the end of ``ENTRANCES``: it writes down the functions that it
# enters, each at once, for it may be killed. ``call`` also serves the forks of the first run.
_RECORDING = """
import os, sys, threading
def call(frame, event, argument, seen=set()):
    code = frame.f_code
    if code.co_filename.startswith({tree!r}) and code not in seen:
        seen.add(code)
        try:
            with open({folder!r} + "/test") as stream:
                words = stream.read(), code.co_filename, str(code.co_firstlineno)
            with open({folder!r} + f"/entered-{{os.getpid()}}", "a") as stream:
                stream.write("\\t".join(words) + "\\n")
        except OSError:  # a test that leaves its processes no files to open, or no room
            pass
if os.getpid() != {pid}:
    threading.settrace(call)
    sys.settrace(call)
"""


@dataclass(eq=False)
class Reached:
    """A plugin of pytest: seconds of each test, and the functions of ``tree`` that it enters.

    Functions are (file, first line). ``folder`` is where the processes of the tests write theirs.
    ``setup`` are the seconds of the slowest setup: in another order another test pays for it.
    """

    tree: str
    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)
    setup: float = 0.0
    functions: dict[str, set[tuple[str, int]]] = field(default_factory=lambda: defaultdict(set))
    test: str = ""
    failed: str = ""
    pid: int = 0

    def pytest_configure(self) -> None:
        self.pid = os.getpid()
        self.folder.chmod(0o777)  # some tests act as other users
        text = _RECORDING.format(tree=self.tree, folder=str(self.folder), pid=self.pid)
        self._of_forks: dict[str, Any] = {}
        exec(text, self._of_forks)
        for name in ENTRANCES:
            with (Path(self.tree) / name).open("a") as stream:
                stream.write(f"\nexec({text!r}, {{}})\n")

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.test = item.nodeid
        (self.folder / "test").write_text(self.test)
        threading.settrace(self._call)
        sys.settrace(self._call)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        sys.settrace(None)
        self.failed = f"{report.nodeid}\n{report.longreprtext}" if report.failed else self.failed
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.when == "setup":
            self.setup = max(self.setup, report.duration)
        if report.when != "teardown":
            sys.settrace(self._call)

    def entered(self) -> dict[str, list[tuple[str, int]]]:
        """The functions that a test or one of its processes entered."""
        found = {test: set(functions) for test, functions in self.functions.items()}
        for path in self.folder.glob("entered-*"):
            for line in path.read_text().splitlines():
                test, file, number = line.split("\t")
                found.setdefault(test, set()).add((file, int(number)))
        return {test: sorted(functions) for test, functions in found.items()}

    def _call(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if code.co_filename.startswith(self.tree):
            if os.getpid() != self.pid:
                self._of_forks["call"](frame, event, argument)
            else:
                self.functions[self.test].add((code.co_filename, code.co_firstlineno))


@dataclass(eq=False)
class Ordered:
    """A plugin of pytest: the tests of ``rank`` in its order, and the name of one that failed.

    A test that hangs, beyond its own time and ``setup``, ends the process, which leaves its name in
    ``answer``.
    """

    rank: dict[str, tuple[bool, float]]
    setup: float
    answer: Path
    failed: str = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self.rank),
            key=lambda item: self.rank[item.nodeid],
        )

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        def ends(*_: object) -> None:
            seen = {"code": 1, "failed": f"{item.nodeid}, which does not end"}
            self.answer.write_text(json.dumps(seen))
            os._exit(1)

        signal.signal(signal.SIGALRM, ends)
        seconds = self.rank[item.nodeid][1] + self.setup
        signal.alarm(int(5 * seconds) + _NOT_IN_TIME)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            signal.alarm(0)
        if report.failed:
            self.failed = report.nodeid


class PackageTests:
    """The tests of one package in the copy ``tree``; ``preload`` are modules of other people."""

    def __init__(self, tree: Path, tests: Sequence[str], preload: Sequence[str]) -> None:
        self.tree = tree
        os.environ.update(OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1")
        for name in ("hypothesis", *preload):
            importlib.import_module(name)
        self._answer = tree.parent / "answer.json"
        before = {name: (tree / name).read_text() for name in ENTRANCES}
        reached = self._run(Reached(f"{tree}/", tree.parent), tests)
        for name, text in before.items():
            (tree / name).write_text(text)
        if reached["code"]:
            raise SystemExit(f"a test fails without any mutant: {reached['failed']}")
        self._seconds: dict[str, float] = reached["seconds"]
        self._setup: float = reached["setup"]
        self._entered = _by_file(reached["entered"])

    def __str__(self) -> str:
        return f"{len(self._seconds)} tests, {sum(self._seconds.values()):.0f} s while recorded"

    def noticed_by(self, path: str, line: int) -> str | None:
        """The test that fails with the changed ``line`` of ``path``; None if all pass."""
        rank = self._rank(path, line)
        if not rank:
            return None
        files = sorted({test.split("::")[0] for test in rank})
        done = self._run(Ordered(rank, self._setup, self._answer), files)
        return (done["failed"] or "collecting the tests") if done["code"] else None

    def _rank(self, path: str, line: int) -> dict[str, tuple[bool, float]]:
        """The tests that may notice a change of the line: (less likely, seconds) each."""
        file = str(self.tree / path)
        body = function_of(self.tree / path, line)
        found = {}
        for test, seconds in self._seconds.items():
            entered = self._entered.get(test, {}).get(file, set())
            if body is None:  # any test may look at a constant
                found[test] = (not entered, seconds)
            elif not entered.isdisjoint(body):
                found[test] = (False, seconds)
        return found

    def _run(self, plugin: Reached | Ordered, tests: Sequence[str]) -> dict[str, Any]:
        """What the plugin saw in a fork."""
        self._answer.write_text('{"code": -1, "failed": "a process that died"}')
        child = os.fork()
        if child == 0:
            try:
                self._in_fork(plugin, tests)
            finally:
                os._exit(1)
        os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what the tests started and did not end
        return dict(json.loads(self._answer.read_text()))

    def _in_fork(self, plugin: Reached | Ordered, tests: Sequence[str]) -> None:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        for name in [name for name in sys.modules if name.split(".")[0] in OWN]:
            del sys.modules[name]
        os.chdir(self.tree)
        own = [str(self.tree), str(self.tree / "store")]
        sys.path[:0], sys.dont_write_bytecode = own, True
        os.environ["PYTHONPATH"] = os.pathsep.join(own)
        arguments = ["-q", "-x", "-m", "not slow and not gpu", "-p", "no:cacheprovider",
                     "-p", "no:xdist", "-p", "no:anyio", *tests]  # fmt: skip
        code = int(pytest.main(arguments, plugins=[plugin]))
        sys.settrace(None)
        seen: dict[str, Any] = {"code": code, "failed": plugin.failed}
        if isinstance(plugin, Reached):
            seen["seconds"], seen["setup"] = plugin.seconds, plugin.setup
            seen["entered"] = plugin.entered()
        self._answer.write_text(json.dumps(seen))


def _by_file(reached: dict[str, list[tuple[str, int]]]) -> dict[str, dict[str, set[int]]]:
    found: dict[str, dict[str, set[int]]] = {}
    for test, places in reached.items():
        for file, number in places:
            found.setdefault(test, {}).setdefault(file, set()).add(number)
    return found


def function_of(path: Path, line: int) -> range | None:
    """The lines of the innermost function whose body holds ``line``; None if there is none.

    The lines begin with the first decorator, as a code object's first line does. Defaults and
    decorators belong to what is around the function.
    """
    around = [
        range(min([node.lineno, *(each.lineno for each in node.decorator_list)]), last + 1)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body[0].lineno <= line <= (last := node.body[-1].end_lineno or 0)
    ]
    return min(around, key=len, default=None)
