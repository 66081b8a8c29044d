"""Worker processes: ``ParallelMap`` for many small items, ``Workers`` for few long tasks.

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
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import connection, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from tratree_cli.errors import StageError
from tratree_cli.threads import one_thread

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")

_events: Connection | None = None
"""In a process of ``Workers``: where its events go."""
_number = 0


class ProcessDiedError(StageError):
    """A worker process ended before its task did."""


def send(event: Any) -> None:
    """In a task of ``Workers``: hand an event to the parent.

    It has arrived when this returns: nothing that a task sends comes after its result.
    """
    assert _events is not None, "only a task of Workers sends events"
    _events.send(event)


def worker_number() -> int:
    """In a process of ``Workers``: which of them it is, from 0; its replacement has the same."""
    return _number


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


def exit_with_parent() -> None:
    """Exit when the parent dies: a killed parent cannot stop its workers, so they watch it."""
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
        # ``shutdown`` removes them from the pool, so they are listed before.
        processes = list((getattr(self, "_processes", None) or {}).values())
        self.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()


def _begin(begin: Callable[..., object] | None, arguments: Sequence[Any]) -> None:
    exit_with_parent()
    if begin is not None:
        begin(*arguments)


class ParallelMap:
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

    def __enter__(self) -> ParallelMap:
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
                waiting.append(self._submit(function, item))
                if len(waiting) > self.workers * self._AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise StageError(
                "a worker process died (out of memory?); use fewer workers (--workers)"
            ) from error

    def _submit(self, function: Callable[[_Item], _Made], item: _Item) -> Future[_Made]:
        if self._pool is None:
            self._pool = Pool(self.workers)
        with one_thread():
            return self._pool.submit(function, item)


class Workers(Generic[_Item]):
    """``size`` processes that each work on one task at a time; the death of one stops no other.

    A process that dies fails its own task with ``ProcessDiedError`` and is replaced; the others go
    on. ``begin(*arguments)`` is called first in each process. ``single_thread`` limits numerical
    libraries to one thread. Leaving the block ends all processes at once.
    """

    def __init__(
        self,
        size: int,
        begin: Callable[..., object] | None = None,
        *arguments: Any,
        single_thread: bool = False,
    ) -> None:
        self._begin = (begin, arguments)
        self._single_thread = single_thread
        self._idle = [_Worker(number, *self._begin) for number in range(size)]
        self._running: dict[Future[Any], tuple[_Item, _Worker]] = {}

    def __enter__(self) -> Workers[_Item]:
        return self

    def __exit__(self, *_: object) -> None:
        workers = [*self._idle, *(worker for _, worker in self._running.values())]
        for worker in workers:
            worker.pool.end()
        for worker in workers:
            worker.pool.shutdown()
            worker.close()

    @property
    def idle(self) -> int:
        """Processes that have no task."""
        return len(self._idle)

    @property
    def busy(self) -> int:
        """Tasks that are worked on."""
        return len(self._running)

    def submit(self, name: _Item, function: Callable[..., Any], /, *arguments: Any) -> None:
        """Give a task to an idle process; ``name`` is what ``finished`` calls it."""
        worker = self._idle.pop()
        with one_thread() if self._single_thread else contextlib.nullcontext():
            self._running[worker.submit(function, arguments)] = (name, worker)

    def finished(
        self, on_event: Callable[[_Item, Any], object], seconds: float = 0.2
    ) -> list[tuple[_Item, Callable[[], Any]]]:
        """Wait up to ``seconds`` for a task; hand on events, then return what is finished.

        ``on_event`` is called with the task's name and the event. Each finished task comes with a
        function that returns its result or raises its error.
        """
        done, _ = wait_for(self._running, timeout=seconds, return_when=FIRST_COMPLETED)
        for name, worker in self._running.values():
            for event in worker.events():
                on_event(name, event)
        outcomes: list[tuple[_Item, Callable[[], Any]]] = []
        for future in done:
            name, worker = self._running.pop(future)
            if isinstance(future.exception(), BrokenProcessPool):
                worker.pool.end()
                worker.close()
                worker, outcome = _Worker(worker.number, *self._begin), _died
            else:
                outcome = future.result
            self._idle.append(worker)
            outcomes.append((name, outcome))
        return outcomes


class _Worker:
    """One process, started by its first task, and the pipe of its events.

    The pipe is its own: a queue that all share would stay locked by one that is killed in it.
    """

    def __init__(
        self, number: int, begin: Callable[..., object] | None, arguments: Sequence[Any]
    ) -> None:
        self.number = number
        self._reader, self._writer = get_context("spawn").Pipe(duplex=False)
        self.pool = Pool(1, _begin_worker, number, self._writer, begin, arguments)

    def submit(self, function: Callable[..., _Made], arguments: Sequence[Any]) -> Future[_Made]:
        future = self.pool.submit(function, *arguments)
        self._writer.close()  # only the process has it now, so its death is the end of the pipe
        return future

    def events(self) -> Iterator[Any]:
        with contextlib.suppress(EOFError, OSError):
            while self._reader.poll():
                yield self._reader.recv()

    def close(self) -> None:
        self._writer.close()
        self._reader.close()


def _died() -> Any:
    raise ProcessDiedError("a worker process was ended from outside (out of memory?)")


def _begin_worker(
    number: int,
    events: Connection,
    begin: Callable[..., object] | None,
    arguments: Sequence[Any],
) -> None:
    global _events, _number
    _events, _number = events, number
    if begin is not None:
        begin(*arguments)
