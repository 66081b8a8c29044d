"""A crew computes what ``map`` does, in the same order, and says when one of it has died."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.trees.making import SHOP, made_rollouts
from tratree_cli.errors import InputError, StageError
from tratree_cli.processes import Crew


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise InputError(f"not {number}")


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_crew_keeps_the_order_and_reads_only_a_little_ahead(monkeypatch) -> None:
    monkeypatch.setattr(Crew, "ENOUGH", 3)
    taken = []

    def items() -> Iterator[int]:
        for number in range(60):
            taken.append(number)
            yield number

    with Crew(2) as crew:
        made = crew.map(square, items())
        assert next(made) == 0
        assert len(taken) < 12
        assert list(made) == [n * n for n in range(1, 60)]
        assert list(crew.map(square, range(5))) == [0, 1, 4, 9, 16]  # the same processes again


def test_little_work_starts_no_process(monkeypatch) -> None:
    monkeypatch.setattr("tratree_cli.processes.Pool", None)
    with Crew(8) as crew:
        assert list(crew.map(square, range(Crew.ENOUGH - 1))) == [
            n * n for n in range(Crew.ENOUGH - 1)
        ]
        assert list(crew.map(square, [])) == []
    with Crew(1) as alone:
        assert len(list(alone.map(square, range(1000)))) == 1000


def test_trouble_in_a_process_is_told_as_a_sentence(monkeypatch) -> None:
    monkeypatch.setattr(Crew, "ENOUGH", 1)
    with Crew(2) as crew, pytest.raises(InputError, match="not 0"):
        list(crew.map(refuse, range(9)))
    with Crew(2) as crew, pytest.raises(StageError, match="--workers"):
        list(crew.map(die, range(9)))


def test_a_tree_has_the_same_bytes_whatever_the_number_of_processes(tmp_path, monkeypatch) -> None:
    from tratree_cli.formats.rollouts import write_rollouts
    from tratree_cli.stages.build_tree import run

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
    monkeypatch.setattr(Crew, "ENOUGH", 1)  # so that even these start processes

    def built(workers: int) -> tuple[dict[str, bytes], object]:
        out = tmp_path / f"by-{workers}"
        out.mkdir()
        job = SimpleNamespace(
            params={"merge": "exact"},
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
    from tratree_cli.pipeline import node_workers

    assert node_workers._events is not None
    node_workers._events.put(("warn", (Slow(f"about {number}"),)))
    return number


def test_what_a_worker_says_is_there_before_its_result_is() -> None:
    """The last node's warnings would be lost: nobody listens after the last result."""
    from tratree_cli.pipeline.node_workers import crew

    with crew(2) as (pool, events):
        for number in range(2):
            assert pool.submit(tell, number).result() == number
            assert not events.empty()
            assert events.get() == ("warn", (f"about {number}",))


def masked(_: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_no_worker_ever_sees_ctrl_c() -> None:
    from tratree_cli.pipeline.node_workers import crew

    with crew(1) as (pool, _):
        assert pool.submit(masked, 0).result()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
