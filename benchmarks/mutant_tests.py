"""The tests that may notice a mutant, run in a copy of the tree, those likely to notice it first.

A first run without a mutant records how long each test takes and which lines it reaches. With a
mutant, the tests that reach its line run first, the quick ones before the slow ones, then all the
others, because what a child process of a test does is not recorded; the first failure ends the run.
Each run is a fork of this process, in which pytest and other people's packages are loaded already;
this project's own modules are not, so the fork reads them from the copy.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

OWN = ("benchmarks", "tests", "tratree_cli", "tratree_store")
"""Packages that a fork must read from the copy."""
_NOT_IN_TIME = 30.0
"""Seconds beyond three times the first run after which a run with a mutant hangs."""


@dataclass(eq=False)
class Reached:
    """A plugin of pytest: seconds of each test, and the (file, line)s of ``tree`` it reaches."""

    tree: str
    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, set[tuple[str, int]]] = field(default_factory=lambda: defaultdict(set))
    test: str = ""
    failed: str = ""

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.test = item.nodeid
        threading.settrace(self._call)
        sys.settrace(self._call)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        sys.settrace(None)
        self.failed = report.nodeid if report.failed else self.failed
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.when != "teardown":
            sys.settrace(self._call)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(self.tree):
            return None
        return self._line(frame, event, argument)

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        self.lines[self.test].add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


@dataclass(eq=False)
class Ordered:
    """A plugin of pytest: tests in the order of ``rank``, and the name of the one that failed."""

    rank: dict[str, tuple[int, float]]
    failed: str = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.rank.get(item.nodeid, (3, 0.0)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = report.nodeid


class PackageTests:
    """The tests of one package in the copy ``tree``; ``preload`` are modules of other people."""

    def __init__(self, tree: Path, tests: Sequence[str], preload: Sequence[str]) -> None:
        self.tree = tree
        self._arguments = ["-q", "-x", "-m", "not slow and not gpu", "-p", "no:cacheprovider",
                           "-p", "no:xdist", *tests]  # fmt: skip
        os.environ.update(OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1")
        for name in ("hypothesis", *preload):
            importlib.import_module(name)
        self._limit, start = 3600.0, time.monotonic()
        reached = self._run(Reached(f"{tree}/"))
        self._limit = 3 * (time.monotonic() - start) + _NOT_IN_TIME
        if reached is None or reached["code"]:
            raise SystemExit(f"a test fails without any mutant: {reached and reached['failed']}")
        self._seconds: dict[str, float] = reached["seconds"]
        self._lines = {test: {(f, n) for f, n in at} for test, at in reached["lines"].items()}
        self._files = {test: {f for f, _ in at} for test, at in self._lines.items()}

    def noticed_by(self, path: str, line: int) -> str | None:
        """The test that fails with the changed ``line`` of ``path``; None if all pass."""
        file = str(self.tree / path)
        rank = {
            test: (
                0 if (file, line) in self._lines.get(test, ()) else
                1 if file in self._files.get(test, ()) else 2,
                seconds,
            )
            for test, seconds in self._seconds.items()
        }  # fmt: skip
        done = self._run(Ordered(rank))
        if done is None:
            return "a test that does not end"
        return (done["failed"] or "collecting the tests") if done["code"] else None

    def _run(self, plugin: Reached | Ordered) -> dict[str, Any] | None:
        """What the plugin saw in a fork; None if it did not end in time."""
        answer = self.tree.parent / "answer.json"
        answer.write_text('{"code": -1, "failed": "a process that died"}')
        child = os.fork()
        if child == 0:
            try:
                self._in_fork(plugin, answer)
            finally:
                os._exit(1)
        end = time.monotonic() + self._limit
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return None
            time.sleep(0.02)
        return dict(json.loads(answer.read_text()))

    def _in_fork(self, plugin: Reached | Ordered, answer: Path) -> None:
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
        code = int(pytest.main(self._arguments, plugins=[plugin]))
        sys.settrace(None)
        seen: dict[str, Any] = {"code": code, "failed": plugin.failed}
        if isinstance(plugin, Reached):
            seen["seconds"] = plugin.seconds
            seen["lines"] = {test: sorted(lines) for test, lines in plugin.lines.items()}
        answer.write_text(json.dumps(seen))
