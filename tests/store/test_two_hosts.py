"""Two hosts on one network file system: what cannot be prevented there is noticed and said.

The other host is simulated: its name is another one, its locks do not exclude ours (each kernel
keeps its own), and what it renamed is not seen at once.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tratree_store import Recipe, Store, filesystems, held_locks, holders, locks
from tratree_store.fsck import check
from tratree_store.gc import collect

from .conftest import Make

RECIPE = Recipe("sft", 1, "model", {"seed": 1})
Host = Callable[[str], None]


@pytest.fixture
def on_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """``on_host("b")``: from now on this is host b, on a network file system without locks."""
    monkeypatch.setenv(filesystems.VARIABLE, "nfs")
    filesystems.kind_of.cache_clear()
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)

    def become(name: str) -> None:
        for module in (holders, locks, held_locks):
            monkeypatch.setattr(module, "host", lambda: name)

    become("a")
    yield become
    filesystems.kind_of.cache_clear()


@contextmanager
def making(store: Store, text: str) -> Iterator[None]:
    """Begin to make the artifact, do something else, publish it."""
    with store.build(RECIPE) as build:
        assert build.entry is None
        (build.path / "weights").write_text(text)
        yield
        build.publish()


@pytest.mark.parametrize("same", [True, False])
def test_two_hosts_that_make_one_recipe_are_told_and_both_results_are_whole(
    tmp_path: Path, on_host: Host, same: bool
) -> None:
    told: dict[str, list[str]] = {"a": [], "b": []}
    one, other = (Store(tmp_path / "store", on_warning=told[name].append) for name in "ab")
    with making(one, "w" * 1000):
        on_host("b")
        with making(other, "w" * 1000 if same else "v" * 1000):
            pass
        on_host("a")
    assert any("on a" in text and "TRATREE_STORE_LOCKS=files" in text for text in told["b"])
    on_host("c")
    assert check(one).clean, check(one).findings
    entries = list(one.entries())
    assert len(entries) == (1 if same else 2)
    assert all(one.verify(entry) == [] for entry in entries)


def test_who_holds_a_lock_is_told_when_another_host_signs_it(tmp_path: Path, on_host: Host) -> None:
    told: list[str] = []
    store = Store(tmp_path / "store", on_warning=told.append)
    with making(store, "w"):
        lock = locks.Lock(store.locks / f"{RECIPE.digest}.lock")
        on_host("b")
        assert lock.try_acquire()
        on_host("a")
    assert any("took the lock" in text for text in told)


def test_a_collection_leaves_what_a_process_on_another_host_says_it_needs(
    store: Store, make: Make, on_host: Host
) -> None:
    needed, other = make("rollouts", seed=1), make("rollouts", seed=2)
    user = Recipe("build-tree", 1, "tree", {"seed": 1}, {"rollouts": needed.object})
    with store.build(user) as build:
        (build.path / "tree.json").write_text("{}")
        on_host("b")
        taken = collect(Store(store.root), younger_than=0)
        assert [row.object for row in taken.entries] == [other.object]
        on_host("a")
        build.publish()
    assert check(store).clean


def test_a_lock_that_a_dead_host_left_keeps_nothing_after_a_day(
    store: Store, make: Make, on_host: Host
) -> None:
    entry = make("rollouts", seed=1)
    left = locks.Lock(store.locks / "use-1-0.lock", needs=[entry.object])
    left.acquire()
    os.utime(left.path, (1, 1))
    on_host("b")
    assert len(collect(Store(store.root), younger_than=0).entries) == 1


def test_an_object_that_another_host_renamed_into_place_unseen_is_taken_as_it_is(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = make("tree", {"a": "x"}, seed=1)
    folder = entry.path.parent
    is_dir = Path.is_dir
    seen: list[Path] = []

    def stale(path: Path) -> bool:
        """The folder is there and the kernel says at first that it is not."""
        if path == folder and not seen:
            seen.append(path)
            return False
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", stale)
    again = make("tree", {"a": "x"}, seed=2)
    assert seen, "the publication asked"
    assert again.object == entry.object
    assert store.verify(again) == []
    assert check(store).clean
    assert not list(store.tmp.iterdir())
