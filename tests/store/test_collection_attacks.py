"""Collection under attack: an index that lies, damaged names and records, builds that race it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tratree_store import (
    LockTimeout,
    Recipe,
    Store,
    StoreError,
    UnknownReference,
    VerificationError,
    gone,
    leftovers,
    objects,
    removal,
)
from tratree_store.atomic import seal
from tratree_store.fsck import check, repair
from tratree_store.gc import collect, plan
from tratree_store.holders import Holder, myself
from tratree_store.locks import Lock
from tratree_store.objects import remove_folder
from tratree_store.refs import Refs
from tratree_store.sharing import arrival

from .conftest import Make, flip


def test_an_old_copy_of_the_index_makes_a_collection_take_nothing_that_is_needed(
    store: Store, make: Make
) -> None:
    demos = make("demos")
    old = {path: path.read_bytes() for path in store.root.glob("index.db*")}
    model = make("model", inputs={"demos": demos.object})
    store.name("weak", model)
    for path in store.root.glob("index.db*"):
        path.unlink()
    for path, data in old.items():
        path.write_bytes(data)
    collect(store, younger_than=0)
    assert store.verify(model) == store.verify(demos) == []
    store.reindex()
    assert store.resolve("weak^demos") == demos


def test_a_wrong_input_in_the_index_makes_a_collection_take_nothing_that_is_needed(
    store: Store, make: Make
) -> None:
    demos = make("demos")
    store.name("weak", make("model", inputs={"demos": demos.object}))
    with sqlite3.connect(store.index.path) as database:
        database.execute("UPDATE inputs SET object = ?", ["0" * 64])
    collect(store, younger_than=0)
    assert store.verify(demos) == []


@pytest.mark.parametrize("offset", range(0, 700, 53))
def test_a_flipped_byte_in_a_name_stops_collection_and_repair_restores_what_it_meant(
    store: Store, make: Make, offset: int
) -> None:
    entry = make("model")
    store.name("weak", entry)
    flip(store.refs.path("weak"), offset)
    for act in (plan, collect):
        with pytest.raises(VerificationError, match="fsck --repair"):
            act(store, younger_than=0)
    assert store.verify(entry) == []
    deeds = repair(store, check(store))
    assert any("weak" in deed for deed in deeds)
    assert store.names() == {"weak": entry.ref}
    collect(store, younger_than=0)
    assert store.resolve("weak") == entry


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_an_emptied_or_shortened_name_is_noticed(store: Store, make: Make, lines: int) -> None:
    for seed in (1, 2):
        store.name("weak", make("model", seed=seed))
    path = store.refs.path("weak")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))
    assert [finding.what for finding in check(store).findings if finding.error] == ["name"]
    with pytest.raises(VerificationError, match="weak"):
        collect(store, younger_than=0)
    with pytest.raises(VerificationError):
        store.resolve("weak")
    repair(store, check(store))
    assert check(store).clean


def test_a_name_that_lost_its_header_or_a_line_in_the_middle_is_noticed(
    store: Store, make: Make
) -> None:
    for seed in (1, 2, 3):
        store.name("weak", make("model", seed=seed))
    path = store.refs.path("weak")
    whole = path.read_bytes().splitlines(keepends=True)
    for lost in range(len(whole)):
        path.write_bytes(b"".join(whole[:lost] + whole[lost + 1 :]))
        with pytest.raises(VerificationError):
            store.refs.history("weak")


def test_a_name_written_by_an_earlier_version_still_opens(store: Store, make: Make) -> None:
    one, two = make("model", seed=1), make("model", seed=2)

    def line(entry: Any, time: float) -> bytes:
        fields = {"kind": entry.kind, "object": entry.object, "recipe": entry.recipe}
        return seal({"name": "weak", "time": time, **fields})

    store.refs.folder.mkdir()
    store.refs.path("weak").write_bytes(line(one, 1.0) + line(two, 2.0))
    assert store.resolve("weak") == two
    assert check(store).clean
    store.name("weak", one)
    assert [naming.object for naming in store.refs.history("weak")] == [
        one.object,
        two.object,
        one.object,
    ]


def test_a_damaged_record_stops_collection_for_its_inputs_are_unknown(
    store: Store, make: Make
) -> None:
    demos = make("demos")
    model = make("model", inputs={"demos": demos.object})
    store.name("weak", model)
    flip(next(store.records.glob(f"*/*/{model.object}.json")), 40)
    with pytest.raises(VerificationError, match="nothing was collected"):
        collect(store, younger_than=0)
    assert store.verify(demos) == []


def test_a_name_whose_record_vanished_stops_collection(store: Store, make: Make) -> None:
    demos = make("demos")
    model = make("model", inputs={"demos": demos.object})
    store.name("weak", model)
    next(store.records.glob(f"*/*/{model.object}.json")).unlink()
    with pytest.raises(VerificationError, match="has no record"):
        collect(store, younger_than=0)
    assert store.verify(demos) == []


def test_a_build_that_begins_while_leftovers_are_looked_for_is_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds: list[Any] = []
    real = leftovers.live_holders

    def begin(*arguments: Any, **options: Any) -> Iterator[tuple[Path, Holder | None]]:
        held = list(real(*arguments, **options))
        if not builds:
            builds.append(store.build(Recipe("sft", 1, "model", {"seed": 1})))
            build = builds[0].__enter__()
            (build.path / "first").write_text("x")
        return iter(held)

    store.prepare()
    monkeypatch.setattr(leftovers, "live_holders", begin)
    assert list(leftovers.leftovers(store, time.time(), 0.0)) == []
    assert list(store.tmp.glob("build-*/files/first"))
    builds[0].__exit__(None, None, None)


def test_what_is_named_while_a_collection_looks_around_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its maker lets go of it as soon as it has the name, which was not there a moment ago."""
    making = store.build(Recipe("sft", 1, "model", {"seed": 1}))
    build = making.__enter__()
    (build.path / "a").write_text("x")
    entry = build.publish()
    real = Refs.names

    def names(self: Refs) -> Iterator[str]:
        found = list(real(self))
        monkeypatch.setattr(Refs, "names", real)
        store.name("weak", entry)
        making.__exit__(None, None, None)
        return iter(found)

    monkeypatch.setattr(Refs, "names", names)
    assert plan(store, younger_than=0).entries == ()
    assert store.names() == {"weak": entry.ref}


def test_what_was_collected_meanwhile_gets_no_name(store: Store, make: Make) -> None:
    entry = make("tree")
    collect(store, younger_than=0)
    with pytest.raises(UnknownReference, match="collected"):
        store.name("weak", entry)
    assert store.names() == {}
    collect(store, younger_than=0)


def test_a_working_folder_that_was_taken_away_is_not_published(store: Store) -> None:
    with store.build(Recipe("sft", 1, "model", {"seed": 1})) as build:
        (build.path / "first").write_text("x")
        remove_folder(build.path.parent)
        build.path.mkdir(parents=True)
        (build.path / "second").write_text("y")
        with pytest.raises(StoreError, match="run again"):
            build.publish()
    assert list(store.entries()) == []
    assert check(store).clean


def test_files_that_change_between_hashing_and_the_rename_are_not_published(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.build(Recipe("sft", 1, "model", {"seed": 1})) as build:
        (build.path / "a").write_text("x")
        (build.path / "b").write_text("x")
        folder = build.path

        def lose(name: str) -> None:
            if name == "publish.synced":
                (folder / "a").unlink()

        monkeypatch.setattr(objects, "point", lose)
        with pytest.raises(StoreError, match="run again"):
            build.publish()
    assert list(store.entries()) == []


def test_an_arrival_of_a_running_process_is_no_leftover_however_long_it_takes(
    store: Store, make: Make
) -> None:
    store.prepare()
    with arrival(store) as folder:
        os.utime(folder, (1.0, 1.0))
        assert plan(store, younger_than=0).leftovers == ()
    assert not folder.exists()


def test_partial_results_that_somebody_takes_up_during_a_collection_stay(store: Store) -> None:
    folder = store.partial({"stage": "explore"})
    (folder / "shard").write_text("x")
    store.leases.release()
    taken: list[Path] = []
    other = Store(store.root)

    real = Store.adding
    # Whoever takes up partial results waits for the collection lock like whoever publishes.
    entered: list[bool] = []

    def adding(self: Store) -> Any:
        entered.append(True)
        return real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "adding", adding)
        taken.append(other.partial({"stage": "explore"}))
    assert entered
    collect(store, younger_than=0)
    assert (taken[0] / "shard").read_text() == "x"


def test_a_holder_that_could_not_write_what_it_uses_stops_collection(
    store: Store, make: Make
) -> None:
    entry = make("tree")
    lock = Lock(store.locks / "use-1-abc.lock", needs=[entry.object])
    assert lock.try_acquire()
    lock.path.write_bytes(b"")
    with pytest.raises(LockTimeout, match="use-1-abc"):
        collect(store, younger_than=0)
    assert store.verify(entry) == []
    lock.release()
    collect(store, younger_than=0)
    assert not entry.path.exists()


@pytest.mark.parametrize("pid", [0, -1, 1 << 40, 1 << 70, "1", None])
@pytest.mark.parametrize("locks", ["flock", "files"])
def test_a_lock_with_an_impossible_process_id_is_nobody(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch, pid: Any, locks: str
) -> None:
    monkeypatch.setenv("TRATREE_STORE_LOCKS", locks)
    make("tree")
    path = store.locks / f"{'a' * 64}.lock"
    path.write_text(json.dumps({**asdict(myself()), "pid": pid}))
    os.utime(path, (1.0, 1.0))
    lock = Lock(path).acquire(wait=5)
    lock.release()
    if locks == "flock":
        assert collect(store, younger_than=0).entries != ()


def test_a_collection_on_a_full_disk_frees_room_first_and_writes_afterwards(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, going = make("tree", seed=1), make("tree", seed=2)
    store.name("kept", kept)
    full = True

    def refuse(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **options: Any) -> Any:
            if full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **options)

        return act

    def delete(path: Path) -> None:
        nonlocal full
        if path.exists():
            full = False
        remove_folder(path)

    monkeypatch.setattr(gone, "write_atomic", refuse(gone.write_atomic))
    monkeypatch.setattr(type(store.index), "announce", refuse(type(store.index).announce))
    monkeypatch.setattr(removal, "remove_folder", delete)
    collect(store, younger_than=0)
    assert not going.path.exists()
    assert check(store).clean, check(store).findings
    assert store.reasons(Recipe.from_document(going.document)).kind == "collected"
    assert store.resolve("kept") == kept


@pytest.mark.parametrize("inodes", [False, True], ids=["blocks", "inodes"])
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_collection_on_a_really_full_disk_works(
    full_disk: Callable[[str], Path], kind: str, inodes: bool
) -> None:
    disk = full_disk(kind)
    store = Store(disk / "store")
    for seed in range(6):
        with store.build(Recipe("sft", 1, "model", {"seed": seed})) as build:
            (build.path / "a").write_bytes(bytes([seed]) * 100_000)
            entry = build.publish()
    store.name("kept", entry)
    store.leases.release()
    fill(disk, inodes)
    taken = collect(store, younger_than=0)
    assert len(taken.entries) == 5
    shutil.rmtree(disk / "filling")
    report = check(store)
    assert report.clean, report.findings
    assert store.verify(entry) == []
    assert [found.object for found in store.entries()] == [entry.object]


def fill(disk: Path, inodes: bool) -> None:
    """Take every inode, or every block, that is left."""
    folder = disk / "filling"
    folder.mkdir()
    try:
        for number in range(1_000_000):
            with (folder / f"{number}").open("wb", buffering=0) as stream:
                while not inodes:
                    stream.write(b"x" * 1024)
    except OSError:
        if not inodes:
            for number in range(10_000):  # what is left of the last block
                try:
                    (folder / f"more{number}").write_bytes(b"x")
                except OSError:
                    return


@pytest.mark.parametrize("inodes", [False, True], ids=["blocks", "inodes"])
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_whatever_is_tried_on_a_full_disk_a_check_is_clean_during_and_after(
    full_disk: Callable[[str], Path], kind: str, inodes: bool
) -> None:
    disk = full_disk(kind)
    store = Store(disk / "store", on_warning=lambda text: None)
    made = []
    for seed in range(3):
        with store.build(Recipe("sft", 1, "model", {"seed": seed})) as build:
            (build.path / "a").write_bytes(bytes([seed]) * 50_000)
            made.append(build.publish())
    store.name("kept", made[0])
    store.leases.release()
    fill(disk, inodes)

    def publish() -> None:
        with store.build(Recipe("sft", 1, "model", {"seed": 9})) as build:
            (build.path / "a").write_bytes(b"9" * 50_000)
            build.publish()

    acts: list[Callable[[], object]] = [
        publish,
        lambda: store.name("other", made[1]),
        lambda: store.partial({"stage": "explore"}),
        store.reindex,
        lambda: list(store.entries()),
        lambda: store.resolve("kept"),
        lambda: repair(store, check(store)),
    ]
    for act in acts:
        with contextlib.suppress(StoreError, OSError):
            act()
        store.leases.release()
        report = check(store)
        assert report.clean, report.findings
    shutil.rmtree(disk / "filling")
    assert check(store).clean, check(store).findings
    assert {entry.object for entry in made} <= {entry.object for entry in store.entries()}
    publish()
    collect(store, younger_than=0)
    assert check(store).clean
