"""Lock files where the kernel's locks do not work, what is written in them, for whom one waits."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from tratree_store import Holder, LockTimeout, StoreError, held_locks, locks
from tratree_store.held_locks import live_holders
from tratree_store.holders import myself, read_holder
from tratree_store.keys import dump
from tratree_store.locks import VARIABLE, Lock, flock_works, locked

NOBODY = (1 << 31) - 2
"""A process id that no process has."""


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "files")


def left(path: Path, seconds: float, **change: Any) -> Path:
    """A lock file that was last touched so long ago; without a change it is this process's."""
    holder = replace(myself(), **change)
    path.write_bytes(dump({**asdict(holder), "needs": list(holder.needs)}))
    touched(path, seconds)
    return path


def touched(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


@pytest.mark.parametrize(
    ("seconds", "change", "taken"),
    [
        (0, {"pid": NOBODY, "started": ""}, True),
        (0, {"started": "another boot:1"}, True),
        (9999, {}, False),
        (590, {"host": "elsewhere"}, False),
        (610, {"host": "elsewhere"}, True),
        (590, {"host": "elsewhere", "pid": NOBODY}, False),
    ],
    ids=["dead", "another process by now", "alive", "heard of", "silent", "of another host"],
)
def test_a_lock_file_is_taken_over_from_the_dead_and_from_hosts_that_fell_silent(
    tmp_path: Path, files: None, seconds: float, change: dict[str, Any], taken: bool
) -> None:
    path = left(tmp_path / "a.lock", seconds, **change)
    lock = Lock(path)
    assert lock.try_acquire() == taken
    holder = read_holder(path)
    assert holder is not None
    assert (holder == replace(myself(), since=holder.since)) == (taken or not change)
    lock.release() if taken else path.unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seconds", "taken"), [(50, False), (70, True)])
def test_a_lock_file_that_names_nobody_is_taken_over_after_a_minute(
    tmp_path: Path, files: None, seconds: float, taken: bool
) -> None:
    path = tmp_path / "a.lock"
    path.write_bytes(b"torn")
    touched(path, seconds)
    lock = Lock(path)
    assert lock.try_acquire() == taken
    lock.release()


def test_a_lock_that_is_taken_while_a_dead_one_is_removed_stays(
    tmp_path: Path, files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = left(tmp_path / "a.lock", 0, pid=NOBODY, started="")
    real, fresh = locks.read_holder, myself(["fresh"])
    looks: list[Path] = []

    def read(place: Path) -> Holder | None:
        looks.append(place)
        holder = real(place)
        if len(looks) == 1:  # between this look and the rename somebody else is quicker
            left(path, 0, needs=("fresh",))
        return holder

    monkeypatch.setattr(locks, "read_holder", read)
    assert not Lock(path).try_acquire()
    kept = real(path)
    assert kept is not None and kept.needs == fresh.needs
    assert [each.name for each in tmp_path.iterdir()] == ["a.lock"]


def test_what_a_lock_file_says_fills_whole_blocks_so_that_it_can_be_longer_on_a_full_disk(
    tmp_path: Path,
) -> None:
    lock = Lock(tmp_path / "a.lock").acquire()
    assert lock.path.stat().st_size == 4096
    lock.sign(["a" * 64] * 100)
    assert lock.path.stat().st_size == 8192
    lock.sign(["b" * 64])
    assert lock.path.stat().st_size == 4096
    holder = read_holder(lock.path)
    assert holder is not None and holder.needs == ("b" * 64,)
    lock.release()


def test_a_text_that_could_be_written_in_part_only_is_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = Lock(tmp_path / "a.lock").acquire()
    monkeypatch.setattr(os, "pwrite", lambda handle, text, place: len(text) - 1)
    lock.sign(["a" * 64])
    assert lock.path.read_bytes() == b""
    lock.release()


def test_whoever_waits_is_told_how_long_for_whom_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    handle = os.open(left(path, 0, pid=os.getppid(), command="sft"), os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    told: list[Holder | None] = []
    with pytest.raises(LockTimeout) as caught:
        Lock(path).acquire(wait=0.0, on_wait=told.append)
    os.close(handle)
    said = str(caught.value)
    assert said.startswith(f"waited 0.1 s for process {os.getppid()} on ")
    assert said.endswith("(sft); run again later or wait longer (--wait)")
    assert [holder and holder.command for holder in told] == ["sft"]


def test_only_the_thread_that_holds_a_lock_is_refused_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with Lock(path), pytest.raises(StoreError, match=r"holds a.lock already"):
        Lock(path).acquire(wait=5)


def test_a_lock_for_moments_stays_and_others_go(tmp_path: Path) -> None:
    with locked(tmp_path / "locks" / "index.lock"):
        pass
    with Lock(tmp_path / "locks" / "a.lock") as lock:
        assert lock.path.stat().st_mode & 0o777 & ~0o644 == 0
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["index.lock"]


def test_shared_locks_go_together_and_exclude_an_exclusive_one(tmp_path: Path) -> None:
    path = tmp_path / "gc.lock"
    one, two, alone = Lock(path, shared=True), Lock(path, shared=True), Lock(path)
    assert one.try_acquire() and two.try_acquire() and not alone.try_acquire()
    one.release()
    two.release()
    assert alone.try_acquire() and not one.try_acquire()
    alone.release()


def test_a_released_lock_is_not_released_again_for_whoever_has_it_now(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = Lock(path).acquire()
    first.release()
    with Lock(path):
        first.release()
        assert not Lock(path).try_acquire()


Flock = Callable[[int, int], None]


def failing(number: int) -> Flock:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return flock


def test_whether_locks_work_is_tried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.lock"
    path.touch()
    assert flock_works(path)
    with Lock(path, keep=True):
        assert flock_works(path), "that somebody has it says that they do"
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    assert not flock_works(path)
    monkeypatch.undo()
    monkeypatch.setenv(VARIABLE, "files")
    assert not flock_works(path)


@pytest.mark.parametrize("number", sorted(locks.NO_LOCKS))
def test_where_locks_do_not_work_the_file_is_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(number))
    path = tmp_path / "a.lock"
    lock = Lock(path)
    assert lock.try_acquire(), "at once, though trying the kernel's lock has made the file"
    assert not Lock(path).try_acquire()
    assert [found for found, _ in live_holders(tmp_path)] == [path]
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_any_other_error_of_a_lock_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        Lock(tmp_path / "a.lock").try_acquire()
    assert list(live_holders(tmp_path)) == [], "a lock that cannot be asked for is nobody's"


def test_a_folder_or_a_fifo_among_the_locks_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "folder.lock").mkdir()
    os.mkfifo(tmp_path / "fifo.lock")
    (tmp_path / "index.lock").touch()
    assert list(live_holders(tmp_path)) == []
    assert list(live_holders(tmp_path / "missing")) == []
    assert len(list(tmp_path.iterdir())) == 3


def test_ones_own_lock_can_be_passed_over(tmp_path: Path) -> None:
    with Lock(tmp_path / "a.lock") as one, Lock(tmp_path / "b.lock") as other:
        assert [path for path, _ in live_holders(tmp_path, but=one.path)] == [other.path]


@pytest.mark.parametrize(("seconds", "held"), [(86_300, True), (86_500, False)])
def test_what_another_host_says_on_a_network_is_believed_for_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, held: bool
) -> None:
    monkeypatch.setattr(held_locks, "has_shared_memory", lambda _: False)
    path = left(tmp_path / "a.lock", seconds, host="elsewhere")
    assert [found for found, _ in live_holders(tmp_path)] == [path] * held
    assert path.exists() == held
    monkeypatch.setattr(held_locks, "has_shared_memory", lambda _: True)
    left(path, 0, host="elsewhere")
    assert list(live_holders(tmp_path)) == [], "on a local disk the kernel knows"


def test_the_command_of_a_holder_is_cut_and_needs_no_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["/usr/bin/tratree", "x" * 300])
    assert myself().command == "tratree " + "x" * 192
    monkeypatch.setattr("sys.argv", [])
    assert myself().command == "python"
