"""Several processes compute what ``map`` does, in the same order; one that dies is noticed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.trees.making import SHOP, made_rollouts
from tratree_cli.errors import InputError, StageError
from tratree_cli.processes import ParallelMap, ProcessDiedError, Workers, send


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise InputError(f"not {number}")


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_parallel_map_keeps_the_order_and_reads_only_a_little_ahead(monkeypatch) -> None:
    monkeypatch.setattr(ParallelMap, "ENOUGH", 3)
    taken = []

    def items() -> Iterator[int]:
        for number in range(60):
            taken.append(number)
            yield number

    with ParallelMap(2) as parallel:
        made = parallel.map(square, items())
        assert next(made) == 0
        assert len(taken) < 12
        assert list(made) == [n * n for n in range(1, 60)]
        assert list(parallel.map(square, range(5))) == [0, 1, 4, 9, 16]  # the same processes again


def test_little_work_starts_no_process(monkeypatch) -> None:
    monkeypatch.setattr("tratree_cli.processes.Pool", None)
    with ParallelMap(8) as parallel:
        assert list(parallel.map(square, range(ParallelMap.ENOUGH - 1))) == [
            n * n for n in range(ParallelMap.ENOUGH - 1)
        ]
        assert list(parallel.map(square, [])) == []
    with ParallelMap(1) as alone:
        assert len(list(alone.map(square, range(1000)))) == 1000


def test_trouble_in_a_process_is_told_as_a_sentence(monkeypatch) -> None:
    monkeypatch.setattr(ParallelMap, "ENOUGH", 1)
    with ParallelMap(2) as parallel, pytest.raises(InputError, match="not 0"):
        list(parallel.map(refuse, range(9)))
    with ParallelMap(2) as parallel, pytest.raises(StageError, match="--workers"):
        list(parallel.map(die, range(9)))


def test_a_tree_has_the_same_bytes_whatever_the_number_of_processes(tmp_path, monkeypatch) -> None:
    from tratree_cli.formats.rollouts import write_rollouts
    from tratree_cli.stages.build_tree import TreeParameters, run

    other = made_rollouts(
        [("cup", [("home", "search[mug]"), ("shelf", "!hm")], 0.5), ("mug", [], 0.0)],
        thoughts=("choose", "new"),
        prompt=SHOP.prompt["messages"],
    )
    inputs = []
    for name, rollouts in (("one", SHOP), ("two", other)):
        folder = tmp_path / name
        folder.mkdir()
        write_rollouts(rollouts, folder)
        inputs.append(SimpleNamespace(path=folder))
    monkeypatch.setattr(ParallelMap, "ENOUGH", 1)  # so that even these start processes

    def built(workers: int) -> tuple[dict[str, bytes], object]:
        out = tmp_path / f"by-{workers}"
        out.mkdir()
        job = SimpleNamespace(
            params=TreeParameters("exact"),
            inputs={"rollouts": inputs},
            out=out,
            scratch=lambda _: tmp_path / "scratch",
            options=SimpleNamespace(workers=workers),
            progress=lambda *_: None,
        )
        summary = run(job).summary  # type: ignore[arg-type]
        return {path.name: path.read_bytes() for path in out.iterdir()}, summary

    assert built(1) == built(3)


class Slow(str):
    """Words that take long to be sent."""

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        time.sleep(0.3)
        return str, (str(self),)


def tell(number: int) -> int:
    send(Slow(f"about {number}"))
    return number


def kill(number: int) -> int:
    send("started")
    return die(number)


def test_what_a_worker_says_is_there_before_its_result_is() -> None:
    """The last node's warnings would be lost: nobody listens after the last result."""
    events: list[tuple[str, str]] = []
    results: dict[str, int] = {}
    with Workers[str](2) as workers:
        workers.submit("a", tell, 0)
        workers.submit("b", tell, 1)
        while workers.busy:
            for name, result in workers.finished(lambda *event: events.append(event)):
                assert (name, f"about {result()}") in events
                results[name] = result()
    assert results == {"a": 0, "b": 1}


def test_a_process_that_dies_costs_its_own_task_and_is_replaced() -> None:
    results: dict[str, object] = {}
    events: list[object] = []

    def collect(workers: Workers[str]) -> None:
        while workers.busy:
            for name, result in workers.finished(lambda *event: events.append(event)):
                try:
                    results[name] = result()
                except ProcessDiedError:
                    results[name] = "died"

    with Workers[str](2) as workers:
        workers.submit("good", square, 3)
        workers.submit("bad", kill, 1)
        collect(workers)
        assert results == {"good": 9, "bad": "died"}
        assert workers.idle == 2
        workers.submit("one", square, 4)
        workers.submit("two", square, 5)
        collect(workers)
    assert (results["one"], results["two"]) == (16, 25)
    assert ("bad", "started") in events


def masked(_: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_no_worker_ever_sees_ctrl_c() -> None:
    with Workers[int](1) as workers:
        workers.submit(0, masked, 0)
        while workers.busy:
            for _, result in workers.finished(lambda *_: None):
                assert result()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
