"""Worker processes that compute one node each, and that never outlive the command they work for.

They are spawned, not forked (a forked torch deadlocks). However the command ends, they end with
it: it stops them where it still can, and a parent that was killed is noticed by each of them. What
a worker has to tell people goes through one queue to the parent, which has the terminal.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.queues import Queue
from time import monotonic
from typing import TYPE_CHECKING, Any

from tratree_cli.processes import die_with_parent

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.stages.graph import Node
    from tratree_cli.stages.runtime import Runtime

Event = tuple[str, tuple[Any, ...]]
"""The name of a ``Reporter``'s method and what it is called with."""

_events: Queue[Event] | None = None
"""In a worker: where its events go."""


@contextlib.contextmanager
def crew(size: int) -> Iterator[tuple[ProcessPoolExecutor, Queue[Event]]]:
    """A pool of ``size`` workers and the queue of their events."""
    context = multiprocessing.get_context("spawn")
    events: Queue[Event] = context.Queue()
    with ProcessPoolExecutor(size, context, _begin, (events,)) as pool:
        try:
            yield pool, events
        except BaseException:
            # The processes are forgotten by the pool as soon as it is told to stop.
            processes = list((getattr(pool, "_processes", None) or {}).values())
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            raise


def compute(
    runtime: Runtime, node: Node, inputs: Mapping[str, Sequence[Entry]]
) -> tuple[Entry, bool]:
    """A worker's task: one node, reported to the parent."""
    from tratree_cli.stages.run_node import limit_threads, run_node

    assert _events is not None, "only a worker computes nodes here"
    limit_threads(runtime.options.threads)
    runtime.reporter = _Forward(_events.put)
    return run_node(runtime, node, inputs)


def _begin(events: Queue[Event]) -> None:
    global _events
    _events = events
    # What nobody reads any more must not keep a finished worker waiting.
    events.cancel_join_thread()
    # The parent decides what Ctrl-C means; a worker that printed a traceback would only add noise.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()


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
