"""The check names exactly what is broken, and the repair leaves a clean store."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tratree_store import Recipe, Store, index_check, index_file
from tratree_store.fsck import Report, check, repair
from tratree_store.rows import is_row

from .conftest import Make, flip


def errors(report: Report) -> list[tuple[str, str]]:
    return [(finding.what, finding.where) for finding in report.findings if finding.error]


def test_a_healthy_store_is_clean_and_counted(store: Store, make: Make) -> None:
    parent = make("rollouts", seed=0)
    entry = make("tree", inputs={"rollouts": parent.object})
    store.name("weak", entry)
    report = check(store)
    assert report.clean
    assert report.findings == ()
    assert (report.objects, report.entries, report.names) == (2, 2, 1)


def test_checking_a_missing_store_finds_nothing_and_creates_nothing(store: Store) -> None:
    assert check(store).clean
    assert not store.root.exists()


def test_a_flipped_byte_in_a_large_file_is_named(store: Store, make: Make) -> None:
    entry = make("model", {"weights": "w" * (3 << 20), "config.json": "{}"})
    flip(entry.path / "weights", 12345)
    report = check(store)
    assert errors(report) == [("object", entry.object)]
    assert "weights" in report.findings[0].text


def test_an_added_file_a_stray_file_and_a_missing_object_are_named(
    store: Store, make: Make
) -> None:
    one, two = make("tree", seed=1), make("tree", seed=2)
    (one.path / "extra").write_text("x")
    (store.objects / "stray").write_text("x")
    two.path.parent.rename(store.root / "away")
    found = errors(check(store))
    assert ("object", one.object) in found
    assert ("object", two.object) in found
    assert ("stray", "objects/stray") in found


@pytest.mark.parametrize("damage", ["object", "record", "missing", "name", "index", "stray"])
def test_repair_leaves_a_clean_store_with_everything_that_was_whole(
    store: Store, make: Make, damage: str
) -> None:
    whole, hurt = make("tree", seed=1), make("tree", {"a": "hurt"}, seed=2)
    store.name("word", whole)
    store.name("word", hurt)
    if damage == "object":
        flip(hurt.path / "a")
    elif damage == "record":
        flip(store.records / hurt.recipe[:2] / hurt.recipe[2:] / f"{hurt.object}.json", 30)
    elif damage == "missing":
        hurt.path.parent.rename(store.root / "away")
    elif damage == "name":
        flip(store.refs.path("word"), -30)
    elif damage == "index":
        with sqlite3.connect(store.index.path) as connection:
            connection.execute("DELETE FROM entries WHERE object = ?", [hurt.object])
    else:
        (store.records / "zz").mkdir()
    report = check(store)
    assert not report.clean
    deeds = repair(store, report)
    assert deeds
    after = check(store)
    assert after.clean, after.findings
    assert store.find(Recipe("make-tree", 1, "tree", {"seed": 1})) == whole
    if damage in ("object", "record", "missing"):
        assert store.find(Recipe("make-tree", 1, "tree", {"seed": 2})) is None
    if damage in ("object", "record", "missing"):
        assert store.resolve("word") == whole, "the name fell back to the last sound meaning"
    else:
        assert store.resolve("word").object == hurt.object


def test_repair_keeps_broken_bytes_in_quarantine_and_why_remembers(
    store: Store, make: Make
) -> None:
    entry = make("tree", {"a": "precious"}, seed=1)
    flip(entry.path / "a", 0)
    repair(store, check(store))
    kept = list(store.quarantine.rglob("a"))
    assert [path.read_bytes()[1:] for path in kept] == [b"recious"]
    again = make("tree", {"a": "precious"}, seed=1)
    assert again.reason["kind"] == "broken"


def test_a_damaged_index_is_reported_and_rebuilt(
    store: Store, make: Make, warnings_seen: list[str]
) -> None:
    entry = make("tree", seed=1)
    store.index.path.write_bytes(b"not a database at all" * 100)
    assert [what for what, _ in errors(check(store))] == ["index"]
    assert store.resolve("tree@latest") == entry
    assert any("damaged" in text for text in warnings_seen)
    assert check(store).clean


def test_an_index_row_that_lies_is_named(store: Store, make: Make) -> None:
    make("tree", seed=1)
    with sqlite3.connect(store.index.path) as connection:
        connection.execute("UPDATE entries SET seconds = seconds + 1")
    assert errors(check(store)) == [("index", "index.db")]


def test_collected_inputs_are_a_note_and_not_an_error(store: Store, make: Make) -> None:
    make("tree", inputs={"rollouts": "a" * 64})
    report = check(store)
    assert report.clean
    assert [finding.what for finding in report.findings] == ["dangling"]


def test_checking_changes_nothing_on_disk(store: Store, make: Make) -> None:
    flip(make("tree", seed=1).path / "data.txt")

    def listing() -> dict[Path, bytes]:
        return {
            path: path.read_bytes()
            for path in store.root.rglob("*")
            if path.is_file() and not path.name.startswith("index.db")
        }

    before = listing()
    check(store)
    assert listing() == before


def test_a_publication_that_ends_while_the_index_is_looked_at_is_no_damage(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("tree", seed=1)
    entry = make("tree", seed=2)
    store.index.bury([(entry.recipe, entry.object)])
    mark = store.index.announce(entry.recipe, entry.object)

    def ends_now(columns: tuple[Any, ...]) -> bool:
        if mark.exists():
            store.index.add([entry])
            mark.unlink()
        return is_row(columns)

    monkeypatch.setattr(index_check, "is_row", ends_now)
    report = check(store)
    assert not mark.exists()
    assert report.findings == ()


def test_a_recipe_that_is_run_again_while_the_index_is_looked_at_is_no_damage(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("tree", {"a": "x"}, seed=1, seconds=1.0)
    first = check(store)
    real = index_file.quick_check

    def run_again(connection: sqlite3.Connection) -> str:
        make("tree", {"a": "x"}, seed=1, seconds=2.0, force=True)
        return real(connection)

    monkeypatch.setattr(index_file, "quick_check", run_again)
    assert (first.findings, check(store).findings) == ((), ())
    assert [entry.seconds for entry in store.entries()] == [2.0]
