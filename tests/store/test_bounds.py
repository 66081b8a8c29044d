"""Limits of the store, each at its last allowed value and at the first that is refused."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tratree_store import KeyValueError, Recipe, Store, VerificationError, canonical_json
from tratree_store.atomic import read_plain
from tratree_store.errors import StoreError
from tratree_store.gc import WEEK, Plan, _size, _used_since, collect, plan
from tratree_store.index_file import is_damage, no_room
from tratree_store.keys import sha256
from tratree_store.objects import File, Manifest, check_path
from tratree_store.refs import check_name
from tratree_store.rows import row_of
from tratree_store.secrecy import secrets_of
from tratree_store.sharing import MAX_MANIFEST, MAX_RECORDS, Announcement, Limits
from tratree_store.transport import Remote

from .conftest import Make


def nested(levels: int, *, lists: bool) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value] if lists else {"k": value}
    return value


@pytest.mark.parametrize("lists", [True, False])
def test_a_key_may_be_nested_64_levels_deep_and_no_deeper(lists: bool) -> None:
    assert canonical_json(nested(64, lists=lists))
    with pytest.raises(KeyValueError, match="deeper than 64"):
        canonical_json(nested(65, lists=lists))


@pytest.mark.parametrize("value", [-(2**63), 2**64 - 1])
def test_whole_numbers_of_64_bits_are_keys_and_their_neighbours_are_not(value: int) -> None:
    assert canonical_json(value) == str(value).encode()
    with pytest.raises(KeyValueError, match="64 bits"):
        canonical_json(value + (1 if value > 0 else -1))


def test_an_artifact_may_consist_of_one_empty_file(store: Store, make: Make) -> None:
    entry = make("tree", {"empty": ""}, seed=1)
    assert entry.size == 0
    assert store.find(Recipe("make-tree", 1, "tree", {"seed": 1})) == entry


def test_a_stage_may_take_no_time(store: Store, make: Make) -> None:
    entry = make("tree", seed=1, seconds=0.0)
    assert store.find(Recipe("make-tree", 1, "tree", {"seed": 1})) == entry


def test_a_name_of_a_letter_or_two_is_no_secret_and_a_longer_one_is() -> None:
    assert "bob" not in secrets_of("ssh://bob:password@host")
    assert "anna" in secrets_of("ssh://anna:password@host")
    assert "password" in secrets_of("ssh://bob:password@host")


def test_a_remote_file_may_be_as_large_as_the_limit_and_no_larger(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    remote = Remote(f"file://{tmp_path}")
    assert remote.read("file", 100) == b"x" * 100
    with pytest.raises(VerificationError, match="larger"):
        remote.read("file", 99)


def test_a_plain_file_may_be_as_large_as_the_limit_and_no_larger(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert read_plain(path, 100) == b"x" * 100
    with pytest.raises(OSError, match="larger"):
        read_plain(path, 99)


def test_a_path_part_has_at_most_255_bytes() -> None:
    check_path("a/" + "é" * 127 + "x")
    with pytest.raises(StoreError):
        check_path("a/" + "é" * 128)


def test_a_name_has_at_most_200_characters_as_a_file() -> None:
    check_name("n" * 200)
    with pytest.raises(StoreError):
        check_name("n" * 201)
    with pytest.raises(StoreError, match="digest"):
        check_name("abcd")
    check_name("abc")
    check_name("abcg")


@pytest.mark.parametrize("size", [-1, True, 1.0, "1"])
def test_a_manifest_with_an_odd_size_is_none(size: object) -> None:
    whole = Manifest((File("a", "0" * 64, 0),))
    assert Manifest.decode(whole.encode(), whole.digest) == whole
    odd = Manifest((File("a", "0" * 64, size),))  # type: ignore[arg-type]
    with pytest.raises(VerificationError):
        Manifest.decode(odd.encode(), odd.digest)


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("made for a test")
    error.sqlite_errorcode = code
    return error


def test_what_sqlite_says_is_told_by_its_primary_code() -> None:
    assert is_damage(sqlite_error(sqlite3.SQLITE_CORRUPT))
    assert is_damage(sqlite_error(sqlite3.SQLITE_CORRUPT | 1 << 8))
    assert not is_damage(sqlite_error(sqlite3.SQLITE_BUSY))
    assert no_room(sqlite_error(sqlite3.SQLITE_FULL))
    assert no_room(sqlite_error(sqlite3.SQLITE_IOERR | 3 << 8))
    assert not no_room(sqlite_error(sqlite3.SQLITE_BUSY))


def test_the_border_of_what_is_young_is_exact(store: Store, make: Make) -> None:
    entry = make("tree", seed=1)
    path = next(store.records.glob("*/*/*.json"))
    now = time.time()
    os.utime(path, (now - 1000, now - 1000))
    made = now - entry.created
    assert len(plan(store, younger_than=made + 100).entries) == 0
    assert len(plan(store, younger_than=0).entries) == 1


def test_collecting_nothing_says_zero_of_everything(store: Store) -> None:
    found = collect(store, younger_than=0).as_json()
    assert set(found.values()) == {0}


def manifest_of(*sizes: int) -> Manifest:
    return Manifest(tuple(File(f"f{n}", sha256(bytes([n, size])), size) for n, size in
                          enumerate(sizes)))  # fmt: skip


def test_what_arrives_may_be_as_much_as_the_limits_and_no_more() -> None:
    limits = Limits(objects=2, files=3, size=10, described=8)
    announced = Announcement(limits)
    announced.counted(2)
    announced.add("a" * 64, manifest_of(1, 2))
    announced.add("b" * 64, manifest_of(7))
    assert announced.described(b"1234") == b"1234"
    announced.described(b"5678")
    announced.refuse_too_much(Path("/"))
    for refused, word in (
        (lambda: announced.counted(3), "more than 2 artifacts"),
        (lambda: announced.described(b"9"), "more than 8 bytes"),
        (lambda: announced.add("c" * 64, manifest_of(1)), "more than 3 files"),
    ):
        with pytest.raises(StoreError, match=word):
            refused()
    larger = Announcement(limits)
    larger.add("a" * 64, manifest_of(4, 7))
    with pytest.raises(StoreError, match="take 11 bytes, and 10 may come"):
        larger.refuse_too_much(Path("/"))


def test_a_file_of_several_artifacts_comes_once() -> None:
    announced = Announcement(Limits())
    for digest in ("a" * 64, "b" * 64):
        announced.add(digest, manifest_of(5, 6))
    assert announced.size == 11


def test_the_limits_are_those_of_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "store.md").read_text("utf-8")
    limits = Limits()
    for said in (
        f"the number of artifacts ({limits.objects:,})",
        f"files ({limits.files:,})",
        f"the bytes ({limits.size >> 40} TiB",
        f"records ({limits.described >> 20} MiB; {MAX_RECORDS >> 20} MiB an artifact)",
    ):
        assert said in page
    assert MAX_MANIFEST == MAX_RECORDS
    assert f"at most {limits.ratio} bytes are unpacked for one" in (
        Path(__file__).parents[2] / "SECURITY.md"
    ).read_text("utf-8")
    assert "in the last seven days (`--younger-than`)" in page
    assert WEEK == 7 * 24 * 60 * 60


def test_a_plan_adds_up_what_goes_newest_first(store: Store, make: Make) -> None:
    old = make("tree", {"a": "12345"}, seed=1, seconds=2.0)
    shared = make("tree", {"a": "12345"}, seed=2, seconds=3.0)
    other = make("tree", {"a": "123"}, seed=3, seconds=4.5)
    store.name("kept", make("model", seed=4))
    assert old.object == shared.object
    found = plan(store, younger_than=0)
    assert [row.recipe for row in found.entries] == [e.recipe for e in (other, shared, old)]
    assert found.objects == (other.object, old.object)
    assert found.as_json() == {
        "objects": 2, "entries": 3, "orphans": 0, "leftovers": 0, "kept": 1, "size": 8,
        "seconds": 9.5,
    }  # fmt: skip


def test_an_orphan_counts_by_what_its_folder_holds(store: Store, make: Make) -> None:
    entry = make("tree", {"a": "12345", "b/c": "678"})
    next(store.records.glob(f"*/*/{entry.object}.json")).unlink()
    store.reindex()
    found = plan(store, younger_than=-10)
    manifest = (entry.path.parent / "manifest.json").stat().st_size
    assert (found.orphans, found.objects) == ((entry.object,), (entry.object,))
    assert (found.size, found.seconds, found.kept) == (8 + manifest, 0, 0)


def test_what_was_made_or_touched_at_the_moment_itself_is_old(store: Store, make: Make) -> None:
    entry = make("tree")
    path = next(store.records.glob("*/*/*.json"))
    os.utime(path, (1000, 1000))
    for created, moment, kept in (
        (1000.0, 1000.0, []), (1000.5, 1000.0, [entry.object]), (1.0, 999.5, [entry.object]),
        (1.0, 1000.0, []),
    ):  # fmt: skip
        row = row_of(replace(entry, created=created))
        assert list(_used_since(store, [row], moment)) == kept


def test_a_plan_tells_seconds_to_the_millisecond() -> None:
    assert Plan((), (), (), 0, 0, 1.23456).as_json()["seconds"] == 1.235


def test_an_object_that_goes_while_a_plan_is_made_frees_nothing(tmp_path: Path) -> None:
    assert _size(tmp_path / "gone") == 0
