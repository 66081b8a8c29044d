"""Processes of our own: how they are started, how they end, and a crew that shares out work.

They are spawned, not forked (a forked torch deadlocks). Ctrl-C reaches a whole process group, but
only the parent decides what it means; and no process outlives its parent, however that dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import connection, get_context, parent_process, resource_tracker
from typing import Any, TypeVar

from tratree_cli.errors import StageError
from tratree_cli.threads import one_thread

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


@contextlib.contextmanager
def interrupts_blocked() -> Iterator[None]:
    """What is started here never sees Ctrl-C, not even while it imports."""
    # Starting the tracker unblocks the signal, so it has to run before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def die_with_parent() -> None:
    """A killed parent cannot tell its workers; they watch it, so that none is left computing."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Pool(ProcessPoolExecutor):
    """Up to ``workers`` processes, each of which calls ``begin(*arguments)`` first of all."""

    def __init__(
        self, workers: int, begin: Callable[..., object] | None = None, *arguments: Any
    ) -> None:
        super().__init__(workers, get_context("spawn"), _begin, (begin, arguments))

    def submit(
        self, function: Callable[..., _Made], /, *arguments: Any, **options: Any
    ) -> Future[_Made]:
        with interrupts_blocked():  # it may have to start a process
            return super().submit(function, *arguments, **options)

    def end(self) -> None:
        """Stop all processes at once, whatever they are doing."""
        # They are forgotten by the pool as soon as it is told to stop.
        processes = list((getattr(self, "_processes", None) or {}).values())
        self.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


def _begin(begin: Callable[..., object] | None, arguments: Sequence[Any]) -> None:
    die_with_parent()
    if begin is not None:
        begin(*arguments)


class Crew:
    """``map`` in up to ``workers`` processes: the same results in the same order.

    ``ENOUGH`` items are waited for before a process is started, and if there are fewer the caller
    works them off alone: starting would cost as much as they do, at some ten milliseconds an item.
    Only a few items per process are under way at a time, whatever their number.
    """

    ENOUGH = 128
    _AHEAD = 3

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: Pool | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[_Item], _Made], items: Iterable[_Item]) -> Iterator[_Made]:
        """``function`` of every item; both, and what comes out, are handed between processes."""
        items = iter(items)
        head = list(islice(items, self.ENOUGH)) if self.workers > 1 else []
        if len(head) < self.ENOUGH and self._pool is None:
            yield from map(function, chain(head, items))
            return
        waiting: deque[Future[_Made]] = deque()
        try:
            for item in chain(head, items):
                waiting.append(self._give(function, item))
                if len(waiting) > self.workers * self._AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise StageError(
                "a worker process died (out of memory?); use fewer workers (--workers)"
            ) from error

    def _give(self, function: Callable[[_Item], _Made], item: _Item) -> Future[_Made]:
        if self._pool is None:
            self._pool = Pool(self.workers)
        with one_thread():
            return self._pool.submit(function, item)
