"""Worker processes on one machine: each holds its own environment and policy, and plays shards.

On a machine with several GPUs each takes one, in turn. Each has one thread: two OpenMP threads per
process on a busy machine are many times slower than one. A worker that dies loses its shard and
nothing else; the shard is given to a new worker, at most ``RETRIES`` times, so one that always
kills its worker ends the run instead of looping.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from tratree_cli.agents.rollout import OnProgress, RolloutProgress
from tratree_cli.agents.sampling_plan import Shard
from tratree_cli.agents.shard_player import RolloutJob, ShardPlayer, portable
from tratree_cli.errors import StageError
from tratree_cli.processes import ProcessDiedError, Workers, send, worker_number

RETRIES = 2

_player: ShardPlayer | None = None
"""The player that this worker process keeps between shards."""


def play_in_processes(
    job: RolloutJob, shards: Sequence[Shard], workers: int, report: OnProgress
) -> Generator[tuple[Shard, bytes]]:
    """Play shards in ``workers`` processes; yields them in the order in which they finish."""
    waiting, deaths = deque(shards), Counter[str]()
    done = RolloutProgress()
    running: dict[str, RolloutProgress] = {}

    def note(shard: Shard, now: RolloutProgress) -> None:
        running[shard.key] = now
        report(sum(running.values(), done))

    size = min(workers, len(shards))
    with Workers[Shard](size, single_thread=True) as processes:
        while waiting or processes.busy:
            while waiting and processes.idle:
                shard = waiting.popleft()
                processes.submit(shard, _play, job, shard)
            for shard, result in processes.finished(note):
                played = running.pop(shard.key, RolloutProgress())
                data = _result(shard, result, deaths)
                if data is None:
                    waiting.appendleft(shard)
                    continue
                done += played
                yield shard, data
                report(sum(running.values(), done))


def _result(shard: Shard, result: Callable[[], bytes], deaths: Counter[str]) -> bytes | None:
    """The shard's bytes; None if its worker died and another is to try."""
    try:
        return result()
    except ProcessDiedError as error:
        deaths[shard.key] += 1
        if deaths[shard.key] <= RETRIES:
            return None
        tasks = ", ".join(request.task for request in shard.requests[:3])
        raise StageError(
            f"the worker that plays tasks {tasks}... died {RETRIES + 1} times (out of memory?); "
            "use fewer workers or a smaller batch"
        ) from error


def on_own_device(job: RolloutJob) -> RolloutJob:
    """The job with its models on this worker's GPU, where there are several and none is named."""
    if not any("device" in source.options for source in job.sources):
        return job
    from tratree_cli.models.devices import worker_device

    number = worker_number()
    sources = [
        replace(source, options={**source.options, "device": worker_device(device, number)})
        if (device := source.options.get("device"))
        else source
        for source in job.sources
    ]
    return replace(job, sources=sources)


def _play(job: RolloutJob, shard: Shard) -> bytes:
    """A worker's task. The parent shows its errors, since a worker's stderr is not seen."""
    global _player
    try:
        if _player is None:
            _player = ShardPlayer(on_own_device(job))
        return _player.play(shard, send)
    except Exception as error:  # noqa: BLE001
        if _player is not None:
            _player.close()
            _player = None
        raise portable(error) from None
