"""The index is only a cache: it can be lost, damaged, old, or on the wrong kind of disk."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tratree_store import NewerStore, Recipe, Store
from tratree_store.filesystems import VARIABLE, has_shared_memory, kind_of
from tratree_store.fsck import check, repair
from tratree_store.gc import collect
from tratree_store.migrations import MIGRATIONS

from .conftest import Make

Script = Callable[..., "subprocess.Popen[str]"]


def test_reindexing_brings_everything_back_from_what_lies_on_disk(store: Store, make: Make) -> None:
    rollouts = make("rollouts", seed=1, summary={"episodes": 3})
    tree = make("tree", inputs={"rollouts": rollouts.object})
    make("tree", {"other": "x"}, seed=9)
    store.name("weak", tree)
    collect_me = make("pairs", inputs={"tree": tree.object})
    before = list(store.entries())
    for path in store.root.glob("index.db*"):
        path.unlink()
    assert Store(store.root).reindex() == 4
    assert list(store.entries()) == before
    assert store.names() == {"weak": tree.ref}
    assert store.resolve(f"{collect_me.ref}^tree^rollouts").summary == {"episodes": 3}
    assert check(store).clean


def test_a_lost_index_is_rebuilt_by_the_next_question(store: Store, make: Make) -> None:
    entry = make("tree")
    for path in store.root.glob("index.db*"):
        path.unlink()
    assert Store(store.root).resolve("tree@latest") == entry
    assert store.index.path.exists()


def test_reindexing_settles_the_marks_of_records_that_are_there_and_of_dead_writers(
    store: Store, make: Make
) -> None:
    entry = make("demos")
    there = store.index.announce(entry.recipe, entry.object)
    coming, dead = (store.index.announce(entry.recipe, digit * 64) for digit in "12")
    os.utime(dead, (1, 1))
    store.reindex()
    assert [mark.exists() for mark in (there, coming, dead)] == [False, True, False]


def test_what_was_collected_is_still_known_after_a_reindex(store: Store, make: Make) -> None:
    make("tree", seed=1)
    collect(store, younger_than=0)
    store.index.path.unlink()
    store.reindex()
    reason = store.reasons(Recipe("make-tree", 1, "tree", {"seed": 2}))
    assert reason.because[0].text == "parameter seed changed: 1 → 2"


def test_parallel_writers_lose_no_row_and_never_see_a_locked_database(
    store: Store, script: Script
) -> None:
    code = """
        import sys
        from pathlib import Path
        from tratree_store import Recipe, Store
        store = Store(Path(sys.argv[1]), durable=False)
        for number in range(12):
            with store.build(Recipe("sft", 1, "model", {"n": number, "who": sys.argv[2]})) as build:
                (build.path / "a").write_text(f"{sys.argv[2]} {number}")
                build.publish()
            assert any(True for _ in store.entries(limit=1))
    """
    running = [script(code, store.root, who) for who in range(3)]
    for process in running:
        _, trouble = process.communicate()
        assert process.returncode == 0, trouble
    assert len(list(store.entries())) == 36
    assert check(store).clean


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_an_index_of_an_older_version_is_migrated_and_filled(
    store: Store, make: Make, version: int
) -> None:
    rollouts = make("rollouts", seed=1)
    tree = make("tree", inputs={"rollouts": rollouts.object})
    for path in store.root.glob("index.db*"):
        path.unlink()
    with sqlite3.connect(store.index.path) as connection:
        for statements in MIGRATIONS[:version]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
    opened = Store(store.root)
    assert opened.resolve("tree@latest^rollouts") == rollouts
    make("pairs", inputs={"tree": tree.object}, into=opened)
    assert check(opened).clean, check(opened).findings


def test_a_newer_index_is_refused_in_one_sentence(store: Store, make: Make) -> None:
    make("tree")
    with sqlite3.connect(store.index.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerStore, match="use a newer tratree"):
        store.resolve("tree@latest")
    with pytest.raises(NewerStore, match="use a newer tratree"):
        make("tree", seed=2)


def test_a_newer_store_is_refused_before_anything_is_touched(store: Store, make: Make) -> None:
    make("tree", seed=1)
    (store.root / "format.json").write_text('{"format":2}')
    before = sorted(store.root.rglob("*"))
    recipe = Recipe("make-tree", 1, "tree", {"seed": 1})
    for action in (lambda: store.find(recipe), lambda: list(store.entries()), store.prepare):
        with pytest.raises(NewerStore, match="format 2"):
            action()
    assert sorted(store.root.rglob("*")) == before


def test_on_a_network_file_system_the_index_uses_a_rollback_journal_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    monkeypatch.setenv(VARIABLE, "nfs4")
    kind_of.cache_clear()
    seen: list[str] = []
    store = Store(tmp_path / "nfs", on_warning=seen.append)
    try:
        entry = make("tree", into=store)
        with sqlite3.connect(store.index.path) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
        assert any("network file system" in text for text in seen)
        assert store.resolve("tree@latest") == entry
    finally:
        kind_of.cache_clear()


def test_a_long_transaction_does_not_shut_readers_out_where_there_is_no_write_ahead_log(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch, warnings_seen: list[str]
) -> None:
    monkeypatch.setenv("TRATREE_STORE_LOCKS", "files")
    monkeypatch.setattr("tratree_store.index_file.BUSY_SECONDS", 0.2)
    entry = make("tree")

    def much(database: Any) -> None:
        rows = ((f"{n:064x}", "0" * 64, "tree", "s", 1.0, 1.0, 1) for n in range(40_000))
        database.conn.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        # Far more pages than SQLite keeps in memory by itself.
        assert [found.object for found in store.entries()] == [entry.object]

    store.index._write(much)
    assert not any("reading all records" in text for text in warnings_seen)


def test_without_working_locks_the_index_uses_a_rollback_journal_and_says_so(
    store: Store, make: Make, warnings_seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRATREE_STORE_LOCKS", "files")
    entry = make("tree")
    with sqlite3.connect(store.index.path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    assert any("no working locks" in text for text in warnings_seen)
    assert store.resolve("tree@latest") == entry


def test_the_file_system_of_a_folder_is_read_from_the_mount_table(tmp_path: Path) -> None:
    kind_of.cache_clear()
    assert kind_of(tmp_path) != ""
    assert kind_of(Path("/proc")) == "proc"
    assert has_shared_memory(tmp_path)
    kind_of.cache_clear()


def test_an_artifact_whose_record_vanished_is_not_listed(store: Store, make: Make) -> None:
    make("tree", seed=1)
    kept = make("tree", seed=2)
    gone = store.resolve("tree@latest")
    store.leases.release()
    assert gone == kept
    (store.records / kept.recipe[:2] / kept.recipe[2:] / f"{kept.object}.json").unlink()
    assert [entry.document["params"] for entry in store.entries()] == [{"seed": 1}]


def test_damage_in_any_page_of_the_index_is_mended_by_whatever_meets_it(
    store: Store, make: Make
) -> None:
    made = {make("tree", seed=seed).ref for seed in range(12)}
    with sqlite3.connect(store.index.path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sound = store.index.path.read_bytes()
    acts: list[Callable[[], object]] = [
        lambda: list(store.entries()),
        store.reindex,
        lambda: make("tree", seed=0, force=True),
        lambda: repair(store, check(store)),
    ]
    for number, page in enumerate(range(0, len(sound), 4096)):
        for suffix in ("-wal", "-shm"):
            Path(f"{store.index.path}{suffix}").unlink(missing_ok=True)
        store.index.path.write_bytes(sound[:page] + b"\xa5" * 4096 + sound[page + 4096 :])
        acts[number % len(acts)]()
        repair(store, check(store))
        assert {entry.ref for entry in store.entries()} == made
        assert check(store).clean


def test_a_prefix_is_looked_up_by_its_digits_and_not_by_walking_all_rows(
    store: Store, make: Make
) -> None:
    entry = make("tree", seed=1)
    asked: list[str] = []
    ask = store.index.ask

    def listen(question: str, *rest: Any) -> Any:
        asked.append(question)
        return ask(question, *rest)

    store.index.ask = listen  # type: ignore[method-assign]
    assert store.resolve(entry.object[:8]).object == entry.object
    questions = [text for text in asked if "object >= ?" in text or "kind = ?" in text]
    assert len(questions) == 2
    for question in questions:
        with store.index.reading() as connection:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {question}", ["a", "b", -1]).fetchall()
        assert "entries_object" in plan[0][-1], plan


def test_a_new_index_has_every_table_and_every_index_over_it(store: Store, make: Make) -> None:
    make("tree", inputs={"rollouts": "a" * 64})
    store.reindex()
    wanted = {
        word for step in MIGRATIONS for s in step for word in re.findall(r"^CREATE \w+ (\w+)", s)
    }
    with sqlite3.connect(store.index.path) as database:
        there = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert wanted <= there


def test_whatever_lies_in_the_way_of_a_new_index_is_removed(store: Store, make: Make) -> None:
    entry = make("tree")
    (store.tmp / "index-of-a-dead-process").write_bytes(b"half")
    (store.tmp / "index-folder" / "deep").mkdir(parents=True)
    assert store.reindex() == 1
    assert list(store.tmp.iterdir()) == []
    assert [found.object for found in store.entries()] == [entry.object]
