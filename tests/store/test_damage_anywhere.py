"""A flipped byte, a folder or a FIFO anywhere in the store: a sentence or a warning, and a cure."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tratree_store import Entry, NewerStore, Recipe, Store, StoreError
from tratree_store.atomic import seal, unseal
from tratree_store.faults import VARIABLE
from tratree_store.fsck import check, repair
from tratree_store.gc import collect, plan

from .conftest import Make

Script = Callable[..., "subprocess.Popen[str]"]
Act = Callable[[], object]


@pytest.fixture
def chain(store: Store, make: Make) -> list[Entry]:
    made = [make("tree", {"a": "0"}, seed=0)]
    for seed in range(1, 8):
        made.append(make("tree", {"a": str(seed)}, inputs={"tree": made[-1].object}, seed=seed))
    store.name("weak", made[-1])
    return made


def questions(store: Store, made: list[Entry]) -> list[Act]:
    """Everything that a user may ask or do."""
    other = Recipe("make-tree", 1, "tree", {"seed": 99})
    return [
        lambda: list(store.entries()),
        store.names,
        lambda: store.resolve("weak^tree^tree"),
        lambda: store.resolve("tree@latest"),
        lambda: store.resolve(made[2].object[:8]),
        lambda: store.find(Recipe.from_document(made[3].document)),
        lambda: store.reasons(other),
        lambda: list(store.history_of("make-tree", 5)),
        lambda: store.lineage([made[-1]]),
        lambda: store.verify(made[1]),
        lambda: plan(store, younger_than=0),
        lambda: collect(store, younger_than=0),
        lambda: check(store),
    ]


def flip_index(store: Store, made: list[Entry], flips: int, seed: int) -> None:
    with sqlite3.connect(store.index.path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sound = store.index.path.read_bytes()
    chance = random.Random(seed)
    for number in range(flips):
        for path in store.root.glob("index.db*"):
            path.unlink()
        data = bytearray(sound)
        # Every third one in the page that holds header and schema.
        place = chance.randrange(len(data) if number % 3 else 4096)
        data[place] ^= chance.randrange(1, 256)
        store.index.path.write_bytes(data)
        opened = Store(store.root, durable=False, on_warning=lambda text: None)
        for act in chance.sample(questions(opened, made), 2):
            with contextlib.suppress(StoreError):
                act()
        opened.leases.release()
        if number % 2:
            opened.reindex()
        else:
            repair(opened, check(opened))
        report = check(opened)
        assert report.clean, (place, report.findings)
        assert {entry.ref for entry in opened.entries()} == {entry.ref for entry in made}


def test_a_flipped_byte_in_the_index_is_cured_by_reindex_and_repair(
    store: Store, chain: list[Entry]
) -> None:
    flip_index(store, chain, 90, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_five_hundred_flipped_bytes_in_the_index_are_cured(
    store: Store, chain: list[Entry], seed: int
) -> None:
    flip_index(store, chain, 500, seed)


def truth(store: Store) -> list[Path]:
    return [
        path
        for folder in ("objects", "entries", "refs", "gone", "partial")
        for path in sorted((store.root / folder).rglob("*"))
        if path.is_file()
    ] + [store.root / "format.json"]


def test_a_flipped_byte_in_the_truth_is_a_sentence_whatever_is_asked(
    store: Store, make: Make, chain: list[Entry]
) -> None:
    make("pairs", seed=1)
    collect(store, younger_than=0)
    keeper = Store(store.root)
    keeper.partial({"stage": "explore"})
    chance = random.Random(7)
    quiet = Store(store.root, on_warning=lambda text: None)
    for path in truth(store):
        whole = path.read_bytes()
        path.chmod(0o644)
        for _ in range(3):
            data = bytearray(whole)
            data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
            path.write_bytes(data)
            for act in chance.sample(questions(quiet, chain), 3):
                with contextlib.suppress(StoreError):
                    act()
            quiet.leases.release()
            if path.exists():  # a collection may take a note away
                path.write_bytes(whole)
    assert {entry.ref for entry in quiet.entries()} == {entry.ref for entry in chain}


PLACES = [
    "refs/weak",
    "refs/stray",
    "index.db",
    "index.db-wal",
    "format.json",
    "locks/stray.lock",
    "pending/stray",
    "tmp/stray",
    "incoming/stray",
    "entries/{recipe}/{object}.json",
    "entries/{recipe}/stray.json",
    "objects/{object}/manifest.json",
    "objects/{object}/files/a",
    "objects/stray",
    "entries/stray",
]


@pytest.mark.parametrize("kind", ["fifo", "folder"])
@pytest.mark.parametrize("place", PLACES)
def test_a_fifo_or_a_folder_in_the_store_is_a_sentence_and_never_a_wait(
    store: Store, chain: list[Entry], script: Script, place: str, kind: str
) -> None:
    entry = chain[3]
    names = {
        "recipe": f"{entry.recipe[:2]}/{entry.recipe[2:]}",
        "object": f"{entry.object[:2]}/{entry.object[2:]}",
    }
    if place.startswith("entries"):
        names["object"] = entry.object
    path = store.root / place.format(**names)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    code = """
        import contextlib, sys
        from pathlib import Path
        from tratree_store import Recipe, Store, StoreError
        from tratree_store.fsck import check, repair
        from tratree_store.gc import collect, plan
        store = Store(Path(sys.argv[1]), on_warning=lambda text: None)
        for act in (
            lambda: list(store.entries()),
            store.names,
            lambda: store.resolve("weak"),
            lambda: store.resolve("tree@latest"),
            lambda: store.resolve(sys.argv[2]),
            lambda: store.reasons(Recipe("make-tree", 1, "tree", {"seed": 99})),
            lambda: plan(store, younger_than=0),
            lambda: collect(store, younger_than=0),
            lambda: check(store),
            lambda: repair(store, check(store)),
        ):
            with contextlib.suppress(StoreError):
                act()
        store.leases.release()
        report = check(store) if sys.argv[3] != "format.json" else None
        assert report is None or report.clean, report.findings
    """
    running = script(code, store.root, chain[2].object, place)
    try:
        _, trouble = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 0, trouble


@pytest.mark.parametrize("where", ["record", "document"])
def test_a_record_of_a_newer_format_is_passed_over_and_left_as_it_is(
    store: Store, make: Make, warnings_seen: list[str], where: str
) -> None:
    from tratree_store.keys import dump, sha256

    entry = make("tree", seed=1)
    path = next(store.records.glob("*/*/*.json"))
    record = unseal(path.read_bytes(), "it")
    if where == "record":
        record["format"] = 99
    else:
        record["document"]["format"] = 99
        record["recipe"] = sha256(dump(record["document"]))
        path.unlink()
        path = store.records / record["recipe"][:2] / record["recipe"][2:] / path.name
        path.parent.mkdir(parents=True)
    path.write_bytes(seal(record))
    assert store.records_of(record["recipe"]) == []
    assert any("newer tratree" in text for text in warnings_seen)
    assert next(finding.what for finding in check(store).findings if finding.error) == "newer"
    with pytest.raises(StoreError, match="newer tratree"):
        collect(store, younger_than=0)
    before = path.read_bytes()
    repair(store, check(store))
    assert path.read_bytes() == before
    assert entry.path.exists()


@pytest.mark.parametrize("point", ["index.built", "index.cleared"])
@pytest.mark.parametrize("there", [False, True], ids=["first", "again"])
def test_a_kill_while_the_index_is_made_leaves_a_clean_store(
    store: Store, chain: list[Entry], script: Script, point: str, there: bool
) -> None:
    if not there:
        for path in store.root.glob("index.db*"):
            path.unlink()
    code = (
        "import sys\nfrom pathlib import Path\nfrom tratree_store import Store\n"
        "Store(Path(sys.argv[1])).reindex()"
    )
    killed = script(code, store.root, **{VARIABLE: point})
    killed.communicate()
    assert killed.returncode == -9
    assert check(store).clean, check(store).findings
    assert {entry.ref for entry in store.entries()} == {entry.ref for entry in chain}
    store.reindex()
    assert list(store.tmp.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0"])
def test_an_index_that_was_only_begun_is_no_damage(
    store: Store, chain: list[Entry], content: bytes
) -> None:
    for path in store.root.glob("index.db*"):
        path.unlink()
    store.index.path.write_bytes(content)
    if content == b"":
        assert check(store).clean, check(store).findings
    assert {entry.ref for entry in store.entries()} == {entry.ref for entry in chain}
    assert check(store).clean


def test_reindex_replaces_an_index_of_a_newer_version(store: Store, chain: list[Entry]) -> None:
    with sqlite3.connect(store.index.path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerStore, match="store reindex"):
        list(store.entries())
    assert store.reindex() == len(chain)
    assert check(store).clean
