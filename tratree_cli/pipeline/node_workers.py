"""Worker processes that compute one node each, and that never outlive the command they work for.

However the command ends, they end with it: it stops them where it still can, and a parent that was
killed is noticed by each of them (``processes``). What a worker has to tell people goes through one
queue to the parent, which has the terminal. It is in the queue before the worker goes on: nothing
that was said about a node comes after its result, when nobody may be listening any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any

from tratree_cli.processes import Pool

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.pipeline.graph import Node
    from tratree_cli.pipeline.runtime import Runtime

Event = tuple[str, tuple[Any, ...]]
"""The name of a ``Reporter``'s method and what it is called with."""

_events: SimpleQueue[Event] | None = None
"""In a worker: where its events go."""


@contextlib.contextmanager
def crew(size: int) -> Iterator[tuple[Pool, SimpleQueue[Event]]]:
    """A pool of ``size`` workers and the queue of their events."""
    events: SimpleQueue[Event] = get_context("spawn").SimpleQueue()
    with Pool(size, _tell, events) as pool:
        try:
            yield pool, events
        except BaseException:
            pool.end()
            raise


def compute(
    runtime: Runtime, node: Node, inputs: Mapping[str, Sequence[Entry]]
) -> tuple[Entry, bool]:
    """A worker's task: one node, reported to the parent."""
    from tratree_cli.pipeline.node_runner import run_node
    from tratree_cli.threads import limit_threads

    assert _events is not None, "only a worker computes nodes here"
    limit_threads(runtime.options.threads)
    runtime.reporter = _Forward(_events.put)
    return run_node(runtime, node, inputs)


def _tell(events: SimpleQueue[Event]) -> None:
    """In a new worker: where to tell what happens."""
    global _events
    _events = events


class _Forward:
    """A reporter in a worker: hands events to the parent, at most ten of progress a second."""

    def __init__(self, send: Callable[[Event], None]) -> None:
        self._send = send
        self._last = 0.0

    def started(self, label: str, reason: str) -> None:
        self._send(("started", (label, reason)))

    def progress(self, label: str, done: int, total: int, note: str) -> None:
        now = monotonic()
        if now - self._last > 0.1:
            self._last = now
            self._send(("progress", (label, done, total, note)))

    def warn(self, message: str) -> None:
        self._send(("warn", (message,)))

    def finished(self, label: str, entry: Entry, cached: bool) -> None:
        """The parent learns it from the result."""

    def hint(self, command: str) -> None: ...
    def show(self, renderable: Any) -> None: ...
    def close(self) -> None: ...
