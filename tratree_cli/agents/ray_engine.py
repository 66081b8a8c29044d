"""Shards on a Ray cluster: the same shards and the same bytes, played on many machines.

A shard is a Ray task that returns its file's bytes; the driver alone writes them, so no shared file
system is needed, only that model and data folders exist at the same place on every node. Each Ray
worker process keeps its environment and policy between shards. Ray gives the shard of a lost
worker to another one, at most ``RETRIES`` times; our own errors are returned as values, since Ray
would wrap them and retry tasks that fail every time.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from typing import Any

from tratree_cli.agents.rollout import OnProgress, RolloutProgress
from tratree_cli.agents.sampling_plan import Shard
from tratree_cli.agents.shard_player import RolloutJob, ShardPlayer, portable
from tratree_cli.errors import InputError, StageError
from tratree_cli.threads import THREADS

RETRIES = 3

_player: ShardPlayer | None = None
"""The player that this Ray worker process keeps between shards."""


def play_on_ray(
    job: RolloutJob, shards: Sequence[Shard], workers: int, address: str | None, report: OnProgress
) -> Generator[tuple[Shard, bytes]]:
    """Play shards as Ray tasks, at most ``workers`` at once (0 or 1: as many as the cluster takes).

    ``address`` is a cluster's (``auto``, ``host:6379``, ``ray://...``); without one a local cluster
    of ``workers`` processes is started and stopped again. Yields shards as they are finished.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "the ray engine needs Ray; install it with: pip install 'tratree[ray]'"
        ) from error

    started_here = not ray.is_initialized()
    if started_here:
        _connect(ray, address, workers)
    try:
        handle = ray.put(job)
        single_thread = dict.fromkeys(THREADS, "1")
        # Scheduled by CPUs, one per shard: a GPU would have to be free to be requested.
        task = ray.remote(num_cpus=1, max_retries=RETRIES, runtime_env={"env_vars": single_thread})(
            play_remotely
        )
        limit = workers if workers > 1 else max(1, int(ray.cluster_resources().get("CPU", 1)))
        yield from _drive(ray, task, handle, shards, 2 * limit, report)
    finally:
        if started_here:
            ray.shutdown()


def play_remotely(job: RolloutJob, shard: Shard) -> tuple[str, Any]:
    """A Ray task: ``("shard", (bytes, progress))`` or ``("error", exception)``."""
    global _player
    last = RolloutProgress()

    def keep(now: RolloutProgress) -> None:
        nonlocal last
        last = now

    try:
        if _player is None or _player.job != job:
            if _player is not None:
                _player.close()
            _player = ShardPlayer(job)
        data = _player.play(shard, keep)
        return "shard", (data, last)
    # Ray would wrap what is raised here, and its retries are for lost workers alone.
    except Exception as error:  # noqa: BLE001
        return "error", portable(error)


def _connect(ray: Any, address: str | None, workers: int) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "include_dashboard": False}
    if address:
        options = {"address": address, "log_to_driver": False}
    else:
        options["num_cpus"] = max(workers, 1)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(configure_logging=False, **options)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise InputError(f"no Ray cluster answers at '{address or 'local'}': {error}") from error


def _drive(
    ray: Any, task: Any, job: Any, shards: Sequence[Shard], limit: int, report: OnProgress
) -> Generator[tuple[Shard, bytes]]:
    """Keep at most ``limit`` tasks submitted, so that a stop does not leave a long queue behind."""
    waiting = list(reversed(shards))
    running: dict[Any, Shard] = {}
    done = RolloutProgress()
    try:
        while waiting or running:
            while waiting and len(running) < limit:
                shard = waiting.pop()
                running[task.remote(job, shard)] = shard
            ready, _ = ray.wait(list(running), num_returns=1)
            for reference in ready:
                shard = running.pop(reference)
                try:
                    kind, content = ray.get(reference)
                except ray.exceptions.RayError as error:
                    first = str(error).strip().splitlines()[0]
                    raise StageError(f"a shard was lost on the Ray cluster: {first}") from error
                if kind == "error":
                    raise content
                data, progress = content
                done += progress
                yield shard, data
                report(done)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
