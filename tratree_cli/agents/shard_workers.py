"""Worker processes on one machine: each holds its own environment and policy, and plays shards.

Processes are spawned, not forked (a forked torch deadlocks), with one thread each: two OpenMP
threads per process on a busy machine are many times slower than one. A worker that dies takes its
shard with it and nothing else; the shard is given to a new worker, at most ``RETRIES`` times, so
one that always kills its worker ends the run instead of looping.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from tratree_cli.agents.rollout import OnProgress, Progress
from tratree_cli.agents.sampling_plan import Shard
from tratree_cli.errors import StageError, TratreeError
from tratree_cli.processes import die_with_parent, interrupts_blocked
from tratree_cli.threads import one_thread

if TYPE_CHECKING:
    from tratree_cli.agents.shards import Job

RETRIES = 2


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    shard: Shard | None = None
    now: Progress = field(default_factory=Progress)


def play_in_processes(
    job: Job, shards: Sequence[Shard], workers: int, report: OnProgress
) -> Generator[tuple[Shard, bytes]]:
    """Play shards in ``workers`` processes; yields them in the order in which they finish."""
    waiting, tries = deque(shards), dict.fromkeys((shard.key for shard in shards), 0)
    crew: list[_Worker] = []
    done, left = Progress(), len(shards)
    try:
        for _ in range(min(workers, len(shards))):
            crew.append(_start(job))
        while left:
            for worker in crew:
                if worker.shard is None and waiting:
                    _give(worker, waiting.popleft())
            for pipe in connection.wait([worker.pipe for worker in crew]):
                worker = next(one for one in crew if one.pipe is pipe)
                try:
                    kind, content = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    _bury(worker, waiting, tries)
                    crew[crew.index(worker)] = _start(job)
                    continue
                if kind == "error":
                    raise content
                if kind == "progress":
                    worker.now = content
                else:
                    shard, worker.shard = worker.shard, None
                    assert shard is not None
                    done, worker.now, left = done + worker.now, Progress(), left - 1
                    yield shard, content
                report(sum((worker.now for worker in crew), done))
    finally:
        for worker in crew:
            worker.process.terminate()
        for worker in crew:
            worker.process.join()
            worker.pipe.close()


def _start(job: Job) -> _Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(job, theirs), daemon=True)
    with one_thread(), interrupts_blocked():
        process.start()
    theirs.close()
    return _Worker(process, ours)


def _give(worker: _Worker, shard: Shard) -> None:
    worker.shard = shard
    # A worker that died just now is noticed, and its shard given on, when its pipe is read.
    with contextlib.suppress(BrokenPipeError):
        worker.pipe.send(shard)


def _bury(worker: _Worker, waiting: deque[Shard], tries: dict[str, int]) -> None:
    worker.process.join()
    worker.pipe.close()
    if worker.shard is None:
        raise StageError(f"a worker could not start (exit {worker.process.exitcode})")
    tries[worker.shard.key] += 1
    if tries[worker.shard.key] > RETRIES:
        tasks = ", ".join(request.task for request in worker.shard.requests[:3])
        raise StageError(
            f"the worker that plays tasks {tasks}... died {RETRIES + 1} times "
            f"(exit {worker.process.exitcode}; out of memory?); "
            "use fewer workers or a smaller batch"
        )
    waiting.appendleft(worker.shard)


def _work(job: Job, pipe: Connection) -> None:
    """A worker's life: shards in, bytes out, until the pipe closes."""
    die_with_parent()
    from tratree_cli.agents.shards import ShardPlayer

    player = None
    try:
        while True:
            shard = pipe.recv()
            player = player or ShardPlayer(job)
            data = player.play(shard, lambda now: pipe.send(("progress", now)))
            pipe.send(("shard", data))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    # Whatever it is, it is shown by the parent, where its user can see it.
    except Exception as error:  # noqa: BLE001
        pipe.send(("error", portable(error)))
    finally:
        if player is not None:
            player.close()


def portable(error: Exception) -> TratreeError:
    """An error as it travels between processes: ours as it is, any other as a sentence."""
    if isinstance(error, TratreeError):
        return error
    return StageError(f"a worker failed: {type(error).__name__}: {error}")
