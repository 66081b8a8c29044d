"""Collection takes what nobody needs, and nothing that anybody does."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tratree_store import Entry, Recipe, Store, UnknownReference, gc
from tratree_store.fsck import check
from tratree_store.gc import collect, plan
from tratree_store.leases import Leases
from tratree_store.objects import folder_of
from tratree_store.refs import PINS

from .conftest import Make

Script = Callable[..., "subprocess.Popen[str]"]


def kinds(store: Store) -> set[str]:
    return {entry.kind for entry in store.entries()}


def test_names_and_pins_keep_what_they_mean_and_everything_it_was_made_from(
    store: Store, make: Make
) -> None:
    demos = make("demos")
    model = make("model", inputs={"demos": demos.object})
    tree = make("tree", inputs={"policy": model.object})
    make("pairs", inputs={"tree": tree.object})
    store.name("weak", model)
    store.name(f"{PINS}tree", tree)
    taken = collect(store, younger_than=0)
    assert [row.kind for row in taken.entries] == ["pairs"]
    assert kinds(store) == {"demos", "model", "tree"}
    store.name(f"{PINS}tree", None)
    collect(store, younger_than=0)
    assert kinds(store) == {"demos", "model"}
    assert check(store).clean


def test_inputs_of_kept_artifacts_go_only_when_asked_for(store: Store, make: Make) -> None:
    demos = make("demos")
    store.name("weak", make("model", inputs={"demos": demos.object}))
    assert collect(store, younger_than=0).entries == ()
    collect(store, younger_than=0, drop_inputs=True)
    assert kinds(store) == {"model"}
    assert check(store).clean


def test_a_dry_run_tells_size_and_seconds_and_takes_nothing(store: Store, make: Make) -> None:
    make("tree", {"a": "x" * 1000}, seed=1, seconds=30)
    make("tree", {"a": "y" * 500}, seed=2, seconds=12)
    found = plan(store, younger_than=0)
    assert (found.size, found.seconds, len(found.objects)) == (1500, 42.0, 2)
    assert len(list(store.entries())) == 2
    assert collect(store, younger_than=0).as_json() == found.as_json()


def test_what_is_young_or_was_found_lately_stays(store: Store, make: Make) -> None:
    for seed in (1, 2):
        make("tree", seed=seed)
    week_ago = time.time() - 8 * 86400
    for path in store.records.glob("*/*/*.json"):
        os.utime(path, (week_ago, week_ago))
    assert plan(store).entries == (), "made a moment ago"
    connection_free = Store(store.root)
    _age_everything(store, week_ago)
    assert len(plan(store).entries) == 2
    assert connection_free.find(Recipe("make-tree", 1, "tree", {"seed": 1})) is not None
    connection_free.leases.release()
    assert len(plan(store).entries) == 1, "a cache hit counts as use"


def _age_everything(store: Store, moment: float) -> None:
    import sqlite3

    with sqlite3.connect(store.index.path) as connection:
        connection.execute("UPDATE entries SET created = ?", [moment])


def test_what_a_running_process_found_or_needs_is_never_taken(
    store: Store, make: Make, script: Script
) -> None:
    found, needed, neither = (make("rollouts", seed=seed) for seed in range(3))
    code = """
        import sys, time
        from pathlib import Path
        from tratree_store import Recipe, Store
        store = Store(Path(sys.argv[1]))
        store.resolve(sys.argv[2])
        with store.build(Recipe("build-tree", 1, "tree", {}, {"rollouts": sys.argv[3]})) as build:
            (build.path / "half").write_text("half")
            print("running", flush=True)
            sys.stdin = open(0)
            time.sleep(60)
    """
    running = script(code, store.root, found.object, needed.object)
    assert running.stdout is not None
    assert running.stdout.readline() == "running\n"
    try:
        taken = collect(store, younger_than=0)
        assert [row.object for row in taken.entries] == [neither.object]
        assert list(store.tmp.glob("build-*/files/half")), "its working folder is there"
    finally:
        running.kill()
        running.communicate()
    taken = collect(store, younger_than=0)
    assert {row.object for row in taken.entries} == {found.object, needed.object}
    assert list(store.tmp.iterdir()) == []


@pytest.mark.parametrize("question", ["find", "resolve"])
@pytest.mark.parametrize("late", [False, True], ids=["before its record goes", "after it"])
def test_what_is_found_while_a_collection_is_under_way_stays_or_is_a_miss(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch, question: str, late: bool
) -> None:
    """The reader reads the record when the plan is made already, and takes its lease then."""
    entry = make("rollouts", seed=1)
    recipe = Recipe.from_document(entry.document)
    reader = Store(store.root)
    answers: list[Entry | None] = []
    real_take = Leases.take

    def ask() -> None:
        try:
            found = reader.find(recipe) if question == "find" else reader.resolve(entry.ref)
        except UnknownReference:
            found = None
        answers.append(found)

    def collect_first(self: Leases, *digests: str) -> None:
        monkeypatch.setattr(Leases, "take", real_take)
        collect(store, younger_than=0)
        self.take(*digests)

    def ask_after(*arguments: Any, **options: Any) -> gc.Plan:
        monkeypatch.setattr(gc, "plan", real_plan)
        found = real_plan(*arguments, **options)
        ask()
        return found

    real_plan = gc.plan
    if late:
        monkeypatch.setattr(Leases, "take", collect_first)
        ask()
    else:
        monkeypatch.setattr(gc, "plan", ask_after)
        collect(store, younger_than=0)
    (answer,) = answers
    if late:
        assert answer is None
        assert not folder_of(store.objects, entry.object).exists()
    else:
        assert answer is not None
        assert reader.verify(answer) == []
    reader.leases.release()
    assert check(store).clean
    collect(store, younger_than=0)
    assert list(store.objects.glob("*/*")) == []


def test_partial_results_go_when_nobody_touched_or_holds_them(store: Store, tmp_path: Path) -> None:
    folder = store.partial({"stage": "explore"})
    (folder / "shard").write_text("x")
    collect(store, younger_than=0)
    assert folder.is_dir(), "this process holds it"
    store.leases.release()
    assert plan(store, younger_than=3600).leftovers == ()
    collect(store, younger_than=0)
    assert not folder.exists()
    assert not folder.with_suffix(".json").exists()


def test_an_object_without_a_record_is_taken(store: Store, make: Make) -> None:
    entry = make("tree")
    next(store.records.glob("*/*/*.json")).unlink()
    store.reindex()
    time.sleep(0.01)
    assert plan(store, younger_than=0).orphans == (entry.object,)
    collect(store, younger_than=0)
    assert not entry.path.exists()


def test_collecting_while_others_publish_breaks_nothing(
    store: Store, make: Make, script: Script
) -> None:
    code = """
        import sys
        from pathlib import Path
        from tratree_store import Recipe, Store
        store = Store(Path(sys.argv[1]))
        for number in range(12):
            recipe = Recipe("sft", 1, "model", {"n": number, "who": sys.argv[2]})
            with store.build(recipe) as build:
                if build.entry is None:
                    (build.path / "a").write_text(str(number % 5))
                    build.publish()
            assert store.verify(build.entry) == [], number
    """
    running = [script(code, store.root, who) for who in "ab"]
    while any(process.poll() is None for process in running):
        collect(store, younger_than=0)
        time.sleep(0.02)
    for process in running:
        assert process.returncode == 0, process.communicate()[1]
    report = check(store)
    assert report.clean, report.findings


def test_collecting_a_missing_store_does_nothing(store: Store) -> None:
    assert collect(store, younger_than=0).objects == ()
    assert not store.root.exists()
