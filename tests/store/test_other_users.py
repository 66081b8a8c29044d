"""Other users, read-only disks and work beside a check: no false alarm, and sharing by a group."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlite_utils  # noqa: F401 - a child of another user cannot import from root's home
from tratree_store import Recipe, Store, StoreError
from tratree_store.fsck import check, repair
from tratree_store.gc import collect, plan

from .conftest import Make

Script = Callable[..., "subprocess.Popen[str]"]
GROUP = 61_000


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach (pytest's own are private)."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_user(user: int, act: Callable[[], object], umask: int = 0o022) -> None:
    """Run ``act`` in a forked child as that user and as a member of ``GROUP``; fail if it does."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs privileges that are not here")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([GROUP])
            os.setegid(user)
            os.seteuid(user)
            os.umask(umask)
            act()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - told to the parent
            os.write(write, traceback.format_exc().encode())
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as trouble:
        text = trouble.read().decode()
    _, status = os.waitpid(child, 0)
    assert status == 0, text


def publish(root: Path, seed: int, text: str = "x") -> None:
    store = Store(root)
    with store.build(Recipe("sft", 1, "model", {"seed": seed})) as build:
        if build.entry is None:
            (build.path / "sub").mkdir()
            (build.path / "sub" / "a").write_text(text)
            build.publish()
    store.leases.release()


@pytest.mark.parametrize("umask", [0o022, 0o077], ids=["022", "077"])
def test_a_shared_store_serves_every_member_of_the_group(open_folder: Path, umask: int) -> None:
    root = open_folder / "store"
    root.mkdir()
    os.chown(root, 61_001, GROUP)

    def begin() -> None:
        store = Store(root)
        store.share()
        publish(root, 1)

    def go_on() -> None:
        store = Store(root)
        publish(root, 1)  # cached
        publish(root, 2)
        for entry in store.entries():
            assert store.verify(entry) == []
        store.name("weak", next(store.entries()))
        store.partial({"stage": "explore"})
        store.leases.release()
        assert check(store).clean, check(store).findings

    def collect_it() -> None:
        store = Store(root)
        store.name("weak", None)
        assert len(collect(store, younger_than=0).entries) == 2
        assert list(store.objects.glob("*/*")) == []
        assert list(store.tmp.iterdir()) == []
        store.reindex()
        publish(root, 3)
        assert check(store).clean, check(store).findings

    for user, act in ((61_001, begin), (61_002, go_on), (61_003, collect_it), (61_001, go_on)):
        as_user(user, act, umask)


def test_a_store_that_is_shared_later_opens_what_is_there(open_folder: Path) -> None:
    root = open_folder / "store"
    root.mkdir()
    os.chown(root, 61_001, GROUP)
    root.chmod(0o2755)
    as_user(61_001, lambda: publish(root, 1), 0o077)

    def not_yet() -> None:
        with pytest.raises(StoreError, match="may not be read"):
            publish(root, 2)

    as_user(61_002, not_yet)
    as_user(61_001, lambda: Store(root).share(), 0o077)
    as_user(61_002, lambda: publish(root, 2), 0o077)


def test_sharing_what_belongs_to_others_says_whose_command_is_missing(open_folder: Path) -> None:
    root = open_folder / "store"
    root.mkdir()
    root.chmod(0o777)
    as_user(61_002, lambda: refused(root, "not in it"))
    os.chown(root, 0, GROUP)
    as_user(61_001, lambda: publish(root, 1), 0o000)

    as_user(61_002, lambda: refused(root, "belong to other users"))


def refused(root: Path, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        Store(root).share()


def test_another_user_checks_a_store_without_false_alarm(open_folder: Path) -> None:
    root = open_folder / "store"
    publish(root, 1)
    store = Store(root)
    store.name("weak", next(store.entries()))
    with store.build(Recipe("sft", 1, "model", {"seed": 2})) as build:
        (build.path / "half").write_text("x")

        def look() -> None:
            report = check(Store(root))
            assert report.findings == ()
            assert plan(Store(root), younger_than=0).leftovers == ()

        as_user(61_002, look)
        assert (build.path / "half").exists()


def test_what_another_user_may_not_read_is_a_note_and_not_damage(open_folder: Path) -> None:
    root = open_folder / "store"
    publish(root, 1)
    store = Store(root)
    entry = next(store.entries())
    store.name("weak", entry)
    (entry.path / "sub" / "a").chmod(0o400)
    store.refs.path("weak").chmod(0o600)

    def look() -> None:
        report = check(Store(root))
        assert report.clean, report.findings
        assert {finding.what for finding in report.findings} == {"unread"}

    as_user(61_002, look)


def test_a_store_that_another_user_may_not_enter_is_one_sentence(open_folder: Path) -> None:
    root = open_folder / "store"
    publish(root, 1)
    for folder in (root / "objects", root / "entries", root / "refs"):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)

    def look() -> None:
        store = Store(root)
        for act in (lambda: check(store), lambda: list(store.entries()), store.names):
            try:
                act()
            except StoreError as error:
                assert "permission" in str(error).lower()

    as_user(61_002, look)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Mount a folder over itself, read-only; skips where it may not."""
    mounted: list[Path] = []

    def mount(folder: Path) -> None:
        bind = ["mount", "--bind", str(folder), str(folder)]
        if shutil.which("mount") is None or subprocess.run(bind, capture_output=True).returncode:
            pytest.skip("mounting needs privileges that are not here")
        mounted.append(folder)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("log", [False, True], ids=["closed", "with a write-ahead log"])
def test_a_check_on_a_read_only_disk_raises_no_false_alarm(
    store: Store, script: Script, read_only: Callable[[Path], None], log: bool
) -> None:
    code = """
        import os, sys
        from pathlib import Path
        from tratree_store import Recipe, Store
        store = Store(Path(sys.argv[1]))
        with store.build(Recipe("sft", 1, "model", {"seed": 1})) as build:
            (build.path / "a").write_text("x")
            build.publish()
        import sqlite3
        held = sqlite3.connect(store.index.path)
        held.execute("SELECT * FROM entries").fetchall()
        with store.build(Recipe("sft", 1, "model", {"seed": 2})) as build:
            (build.path / "a").write_text("y")
            store.name("weak", build.publish())
        os.kill(os.getpid(), 9) if sys.argv[2] == "True" else held.close()
    """
    script(code, store.root, log).communicate()
    assert (store.root / "index.db-wal").exists() == log
    read_only(store.root)
    report = check(store)
    assert report.clean, report.findings
    assert len(list(store.entries())) == 2
    assert store.verify(store.resolve("weak")) == []
    with pytest.raises(StoreError, match="read-only"):
        repair(store, report)


def test_a_check_beside_collections_and_publications_raises_no_false_alarm(
    store: Store, make: Make, script: Script
) -> None:
    make("tree")
    code = """
        import sys
        from pathlib import Path
        from tratree_store import Recipe, Store
        from tratree_store.gc import collect
        store = Store(Path(sys.argv[1]), durable=False)
        for number in range(15):
            with store.build(Recipe("sft", 1, "model", {"n": number, "who": sys.argv[2]})) as build:
                (build.path / "a").write_text(f"{number} {sys.argv[2]}")
                store.name(f"word{number % 3}{sys.argv[2]}", build.publish())
            store.leases.release()
            if number % 3 == 0:
                collect(store, younger_than=0)
    """
    running = [script(code, store.root, who) for who in "ab"]
    looks = 0
    while any(process.poll() is None for process in running):
        report = check(store)
        assert report.clean, report.findings
        looks += 1
        time.sleep(0.01)
    for process in running:
        assert process.returncode == 0, process.communicate()[1]
    assert looks > 1
