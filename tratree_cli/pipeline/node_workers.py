"""Nodes computed side by side, each in a worker process that never outlives the command.

However the command ends, the workers end with it: it stops them where it still can, and a parent
that was killed is noticed by each of them (``processes``). What a worker reports goes to the
parent, which has the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from tratree_cli.errors import StageError
from tratree_cli.processes import ProcessDiedError, Workers, send

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.pipeline.graph import Node
    from tratree_cli.pipeline.node_runner import NodeRun
    from tratree_cli.pipeline.reporter import Reporter


class NodeWorkers:
    """Up to ``size`` processes that compute one node each; used as a context."""

    def __init__(self, size: int, store_root: Path, reporter: Reporter) -> None:
        self._workers: Workers[NodeRun] = Workers(size)
        self._store_root = store_root
        self._reporter = reporter

    def __enter__(self) -> NodeWorkers:
        return self

    def __exit__(self, *error: object) -> None:
        self._workers.__exit__(*error)

    @property
    def idle(self) -> int:
        """Processes that have no node."""
        return self._workers.idle

    @property
    def busy(self) -> int:
        """Nodes that are computed now."""
        return self._workers.busy

    def submit(self, run: NodeRun) -> None:
        self._workers.submit(run, compute, run, self._store_root)

    def finished(self) -> Iterator[tuple[Node, Callable[[], tuple[Entry, bool]]]]:
        """Nodes that are finished after a short wait, each with a function that tells how.

        The function returns the entry and whether it was cached, or raises the stage's error.
        """
        for run, result in self._workers.finished(self._relay):
            yield run.node, partial(_outcome, run, result)

    def _relay(self, run: NodeRun, event: tuple[str, tuple[Any, ...]]) -> None:
        method, arguments = event
        getattr(self._reporter, method)(*arguments)


def _outcome(run: NodeRun, result: Callable[[], tuple[Entry, bool]]) -> tuple[Entry, bool]:
    try:
        return result()
    except ProcessDiedError as error:
        raise StageError(
            f"a process was ended from outside while this ran: {run.label} (out of memory?); "
            "run the same command again, with fewer --jobs if it recurs"
        ) from error


def compute(run: NodeRun, store_root: Path) -> tuple[Entry, bool]:
    """A worker's task: one node, reported to the parent."""
    from tratree_store import Store

    from tratree_cli.pipeline.node_runner import run_node
    from tratree_cli.threads import limit_threads

    limit_threads(run.options.threads)
    reporter = _ForwardingReporter()
    store = Store(store_root)
    store.on_warning = reporter.warn
    return run_node(run, store, reporter)


class _ForwardingReporter:
    """In a worker: hands on what is reported, at most ten times of progress a second."""

    def __init__(self) -> None:
        self._last = 0.0

    def started(self, label: str, reason: str) -> None:
        send(("started", (label, reason)))

    def progress(self, label: str, done: int, total: int, note: str) -> None:
        now = monotonic()
        if now - self._last > 0.1:
            self._last = now
            send(("progress", (label, done, total, note)))

    def warn(self, message: str) -> None:
        send(("warn", (message,)))

    def planned(self, total: int, seconds: Sequence[float | None]) -> None: ...
    def finished(self, label: str, entry: Entry, cached: bool) -> None:
        """The parent learns it from the result."""

    def hint(self, command: str) -> None: ...
    def show(self, renderable: Any) -> None: ...
    def close(self) -> None: ...
