"""Locks: one computes and the others wait, told for whom; the dead hold nothing."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tratree_store import Holder, LockTimeout, Recipe, Store, StoreError, locks
from tratree_store.held_locks import live_holders
from tratree_store.holders import read_holder
from tratree_store.leases import Leases
from tratree_store.locks import VARIABLE, Lock

from .conftest import Make

Script = Callable[..., "subprocess.Popen[str]"]
RECIPE = Recipe("sft", 1, "model", {"seed": 1})

COMPUTE = """
    import os, sys, time
    from pathlib import Path
    from tratree_store import Recipe, Store
    root, log = Path(sys.argv[1]), Path(sys.argv[2])
    with Store(root).build(Recipe("sft", 1, "model", {"seed": 1})) as build:
        if build.entry is None:
            with log.open("a") as stream:
                stream.write("ran\\n")
            time.sleep(0.2)
            (build.path / "a").write_text("x")
            build.publish()
    print(build.entry.object)
"""
HOLD = """
    import sys, time
    from pathlib import Path
    from tratree_store import Recipe, Store
    with Store(Path(sys.argv[1])).build(Recipe("sft", 1, "model", {"seed": 1})):
        print("held", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("locks", ["flock", "files"])
def test_processes_that_want_one_recipe_compute_it_once(
    store: Store, tmp_path: Path, script: Script, locks: str
) -> None:
    log = tmp_path / "log"
    running = [script(COMPUTE, store.root, log, **{VARIABLE: locks}) for _ in range(5)]
    results = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0] * 5, results
    assert log.read_text() == "ran\n"
    assert len({out for out, _ in results}) == 1


def test_who_waits_is_told_who_holds_the_lock_and_gives_up_after_the_time_given(
    store: Store, script: Script
) -> None:
    holder = script(HOLD, store.root)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    told: list[Holder | None] = []
    try:
        with (
            pytest.raises(LockTimeout, match=str(holder.pid)) as caught,
            store.build(RECIPE, wait=0.3, on_wait=told.append),
        ):
            pass
        assert caught.value.exit_code == 11
        assert [h.pid for h in told if h] == [holder.pid]
        assert told[0] is not None
        assert "-c" in told[0].command
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("locks", ["flock", "files"])
def test_the_lock_of_a_killed_process_is_free_at_once(
    store: Store, script: Script, monkeypatch: pytest.MonkeyPatch, locks: str
) -> None:
    monkeypatch.setenv(VARIABLE, locks)
    holder = script(HOLD, store.root, **{VARIABLE: locks})
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.kill()
    holder.communicate()
    start = time.monotonic()
    with store.build(RECIPE, wait=5) as build:
        assert build.entry is None
    assert time.monotonic() - start < 2


def test_a_forked_child_that_outlives_its_parent_does_not_keep_the_lock(
    store: Store, script: Script
) -> None:
    code = HOLD.replace(
        'print("held", flush=True)',
        'import os\n        child = os.fork()\n        if child: print("held", child, flush=True)',
    )
    holder = script(code, store.root)
    assert holder.stdout is not None
    child = int(holder.stdout.readline().split()[1])
    holder.kill()
    holder.wait()
    try:
        with store.build(RECIPE, wait=3) as build:
            assert build.entry is None
    finally:
        os.kill(child, 9)
        holder.communicate()


def test_one_thread_that_asks_twice_is_told_instead_of_waiting_for_ever(store: Store) -> None:
    with (
        store.build(RECIPE),
        pytest.raises(StoreError, match="wait for ever"),
        store.build(RECIPE),
    ):
        pass


def test_two_threads_of_one_process_exclude_each_other(store: Store) -> None:
    made = []

    def work() -> None:
        with store.build(RECIPE) as build:
            if build.entry is None:
                made.append(1)
                (build.path / "a").write_text("x")
                build.publish()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_password_in_the_command_of_a_holder_is_neither_kept_nor_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["tratree", "pull", "s3://me:pa55@host/b?X-Amz-Signature=51gned&part=2", "weak"]
    monkeypatch.setattr("sys.argv", words)
    store.prepare()
    with Lock(store.locks / "a.lock") as lock:
        text = lock.path.read_text("utf-8")
    assert "pa55" not in text
    assert "51gned" not in text
    assert "s3://***@host/b?X-Amz-Signature=***&part=2 weak" in text


def test_released_locks_leave_no_files_behind(store: Store, make: Make) -> None:
    make("tree", seed=1)
    assert sorted(path.name for path in store.locks.iterdir()) == ["gc.lock", "index.lock"]


def test_live_holders_lists_the_living_and_sweeps_the_dead(tmp_path: Path) -> None:
    (tmp_path / "dead.lock").write_text('{"pid": 1}')
    lock = Lock(tmp_path / "live.lock", needs=["a" * 64]).acquire()
    assert [(path.name, holder.needs) for path, holder in live_holders(tmp_path)] == [
        ("live.lock", ("a" * 64,))
    ]
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_of_another_host_that_fell_silent_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "files")
    path = tmp_path / "a.lock"
    path.write_text(
        '{"pid": 1, "host": "elsewhere", "command": "x", "since": 0, "started": "", "needs": []}'
    )
    with pytest.raises(LockTimeout, match="elsewhere"):
        Lock(path).acquire(wait=0)
    os.utime(path, (0, 0))
    Lock(path).acquire(wait=1).release()


def test_a_lock_that_could_not_be_signed_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more_files(*_: object) -> None:
        raise StoreError("too many files are open in this process")

    path = tmp_path / "a.lock"
    monkeypatch.setattr(locks, "read_holder", no_more_files)
    with pytest.raises(StoreError, match="too many files"):
        Lock(path).try_acquire()
    monkeypatch.undo()
    with Lock(path):
        assert path.exists()
    assert not path.exists()


def test_a_forked_child_uses_nothing_of_its_parents_and_says_itself_what_it_uses(
    tmp_path: Path,
) -> None:
    leases = Leases(tmp_path)
    leases.take("a" * 64, "partial:x")
    mine = leases.path
    assert mine is not None and leases.digests == {"a" * 64}
    end, begin = os.pipe()
    child = os.fork()
    if child == 0:  # no pytest from here on: whatever happens, the child ends
        try:
            told: list[object] = [sorted(leases.digests), leases.path is None]
            leases.take("b" * 64)
            told += [sorted(leases.digests), leases.path not in (None, mine)]
            os.write(begin, json.dumps(told).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(begin)
    with os.fdopen(end) as stream:
        assert json.loads(stream.read()) == [[], True, ["b" * 64], True]
    assert leases.path == mine and leases.digests == {"a" * 64}
    holder = read_holder(mine)
    assert holder is not None and holder.needs == ("a" * 64, "partial:x")
    leases.release()
