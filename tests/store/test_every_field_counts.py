"""What is read from files of others is refused for each of its fields alone, at its border."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tratree_store import Entry, Store, StoreError, VerificationError
from tratree_store import entries as records
from tratree_store.atomic import MAX_RECORD, read_plain, seal, unseal
from tratree_store.fsck import check
from tratree_store.keys import dump, is_digest, is_word, sha256
from tratree_store.objects import MAX_MANIFEST, SMALL_FILE, SMALL_TOTAL, damage, read_manifest
from tratree_store.refs import Naming, decode, decode_history, encode, encode_history
from tratree_store.rows import is_row

from .conftest import Make, flip

END_OF_TIME = 1e11


def resealed(entry: Entry, change: dict[str, Any]) -> bytes:
    """The record with other fields, sealed as whoever wrote it would; ``document.x`` reaches in."""
    record = unseal(records.encode(entry), "x")
    for name, value in change.items():
        if name.startswith("document."):
            record["document"] = {**record["document"], name.removeprefix("document."): value}
            record["recipe"] = sha256(dump(record["document"]))
        else:
            record[name] = value
    return seal(record)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 0}, {"format": True}, {"format": "1"}, {"format": 1.0},
        {"object": "0" * 63}, {"object": "g" * 64}, {"recipe": "0" * 64},
        {"kind": "Tree"}, {"kind": "other"}, {"stage": "Make"}, {"stage": "other"},
        {"created": -0.001}, {"created": END_OF_TIME}, {"created": "soon"},
        {"seconds": -0.001}, {"seconds": END_OF_TIME}, {"size": -1}, {"size": None},
        {"summary": 1}, {"provenance": 1}, {"reason": 1}, {"document": []},
        {"document.format": 0}, {"document.format": True},
        {"document.kind": "other"}, {"document.stage": "other"},
        {"document.kind": "T", "kind": "T"}, {"document.stage": "S", "stage": "S"},
        {"document.inputs": {"tree": "0" * 63}},
        {"document.inputs": {"tree": ["0" * 64, "x"]}},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_is_refused_for_any_single_field(make: Make, change: dict[str, Any]) -> None:
    entry = make("tree")
    with pytest.raises(VerificationError):
        records.decode(resealed(entry, change), Path("objects"), "it")


@pytest.mark.parametrize(
    "change",
    [
        {"created": 0}, {"created": END_OF_TIME - 1}, {"seconds": 0}, {"size": 0},
        {"seconds": END_OF_TIME - 1}, {"document.inputs": {"tree": ["0" * 64, "1" * 64]}},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_may_have_the_least_and_the_most(make: Make, change: dict[str, Any]) -> None:
    assert records.decode(resealed(make("tree"), change), Path("objects"), "it").kind == "tree"


@pytest.mark.parametrize("change", [{"format": 2}, {"document.format": 2}], ids=str)
def test_a_record_of_a_newer_format_says_so(make: Make, change: dict[str, Any]) -> None:
    with pytest.raises(VerificationError, match="has format 2; a newer tratree can read it"):
        records.decode(resealed(make("tree"), change), Path("objects"), "it")


def test_a_record_lies_under_its_recipe_and_its_object(store: Store, make: Make) -> None:
    entry = make("tree")
    path = records.record_path(store.records, entry.recipe, entry.object)
    assert records.read(path, store.objects) == entry
    others = (
        path.with_name("0" * 64 + ".json"),
        path.parent.with_name("0" * 62) / path.name,
    )
    for other in others:
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(path.read_bytes())
        with pytest.raises(VerificationError, match="wrong place"):
            records.read(other, store.objects)


def test_times_are_kept_to_the_millisecond(make: Make) -> None:
    entry = replace(make("tree"), created=12.34567, seconds=1.23456)
    read = records.decode(records.encode(entry), Path("objects"), "it")
    assert (read.created, read.seconds) == (12.346, 1.235)


NAMING = Naming(5.0, "tree", "a" * 64, "b" * 64)


def test_a_line_of_a_name_is_read_back_and_may_say_that_the_name_was_removed() -> None:
    for naming in (NAMING, Naming(0.0, "", "", ""), replace(NAMING, time=END_OF_TIME - 1)):
        assert decode(encode("weak", naming), "weak") == naming


@pytest.mark.parametrize(
    "change",
    [
        {"name": "strong"}, {"time": -0.5}, {"time": END_OF_TIME}, {"time": "now"},
        {"object": "a" * 63}, {"object": ""}, {"recipe": "b" * 63}, {"recipe": ""},
        {"kind": "Tree"}, {"kind": ""}, {"object": "", "recipe": ""}, {"object": "", "kind": ""},
        {"recipe": "", "kind": ""},
    ],
    ids=str,
)  # fmt: skip
def test_a_line_of_a_name_is_refused_for_any_single_field(change: dict[str, Any]) -> None:
    record = unseal(encode("weak", NAMING), "x")
    with pytest.raises(VerificationError):
        decode(seal({**record, **change}), "weak")


def test_a_history_without_a_header_is_of_an_earlier_version_unless_lines_are_numbered() -> None:
    later = replace(NAMING, time=6.0)
    old = encode("weak", NAMING) + encode("weak", later)
    assert decode_history(old, "weak") == [NAMING, later]
    whole = encode_history("weak", [NAMING, later])
    assert decode_history(whole, "weak") == [NAMING, later]
    lines = whole.splitlines(keepends=True)
    for damaged in (b"", b"".join(lines[1:]), b"".join(lines[:2]), lines[0] + old):
        with pytest.raises(VerificationError):
            decode_history(damaged, "weak")


def test_a_header_of_another_name_is_refused() -> None:
    empty = encode_history("strong", [])
    assert decode_history(empty, "strong") == []
    with pytest.raises(VerificationError):
        decode_history(empty, "weak")


ROW = ("a" * 64, "b" * 64, "tree", "sft", 1.0, 2.0, 3)


def test_a_row_of_the_index_has_seven_fields_of_their_types() -> None:
    assert is_row(ROW)
    assert is_row((*ROW[:4], 1, 2, 3))
    assert not is_row(ROW[:6]) and not is_row((*ROW, 1))
    odd: list[tuple[int, object]] = [
        (0, "a" * 63), (0, None), (1, "b" * 63), (1, b"b"), (2, None), (2, b"tree"), (3, 1),
        (4, "1"), (4, None), (5, "2"), (5, None), (6, 3.0), (6, None), (6, "3"),
    ]  # fmt: skip
    for place, value in odd:
        assert not is_row((*ROW[:place], value, *ROW[place + 1 :])), (place, value)


def test_digests_and_words_are_what_they_are_and_nothing_longer() -> None:
    assert is_digest("0" * 64)
    assert not any(map(is_digest, ("0" * 63, "0" * 65, "G" * 64, "0" * 63 + "\n")))
    assert is_word("a" * 64) and is_word("build-tree-2")
    assert not any(map(is_word, ("", "a" * 65, "2a", "-a", "A", "a\n")))


def test_a_record_may_take_64_mebibytes_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "record"
    for size, sound in ((64 << 20, True), ((64 << 20) + 1, False)):
        with path.open("wb") as stream:
            stream.truncate(size)
        if sound:
            assert len(read_plain(path)) == size == MAX_RECORD
        else:
            with pytest.raises(OSError, match="larger"):
                read_plain(path)


def test_a_manifest_may_take_64_mebibytes_and_no_more(store: Store, make: Make) -> None:
    entry = make("tree")
    path = entry.path.parent / "manifest.json"
    path.chmod(0o644)
    for size, said in ((64 << 20, "is damaged"), ((64 << 20) + 1, "larger than 67108864 bytes")):
        with path.open("wb") as stream:
            stream.truncate(size)
        with pytest.raises(VerificationError, match=said):
            read_manifest(store.objects, entry.object)
    assert MAX_MANIFEST == 64 << 20


def test_a_lookup_hashes_files_of_a_mebibyte_and_no_larger_ones(store: Store, make: Make) -> None:
    entry = make("model", {"small": "s" * (1 << 20), "large": "l" * ((1 << 20) + 1)})
    assert SMALL_FILE == 1 << 20
    flip(entry.path / "large", 7)
    assert damage(store.objects, entry.object, deep=False) == []
    assert len(damage(store.objects, entry.object, deep=True)) == 1
    flip(entry.path / "small", 7)
    assert ["small" in text for text in damage(store.objects, entry.object, deep=False)] == [True]


def test_a_lookup_hashes_four_mebibytes_smallest_files_first(store: Store, make: Make) -> None:
    # 256 KiB, then 3 times 1 MiB, then what is left of 4 MiB to the byte, then one byte more.
    sizes = {"a": 1 << 18, "b": 3 << 18, "c": 1 << 20, "d": 1 << 20, "e": 1 << 20}
    assert sum(sizes.values()) == SMALL_TOTAL == 4 << 20
    files = {name: name * size for name, size in sizes.items()}
    entry = make("model", files)
    for name in files:
        flip(entry.path / name, 7)
    assert len(damage(store.objects, entry.object, deep=False)) == 5
    more = make("model", {**files, "0": "z"})
    for name in files:
        flip(more.path / name, 7)
    assert len(damage(store.objects, more.object, deep=False)) == 4


def test_a_name_with_a_damaged_line_keeps_the_lines_that_are_whole(
    store: Store, make: Make
) -> None:
    one, two, three = (make("tree", seed=seed) for seed in range(3))
    for entry in (one, two, three):
        store.name("weak", entry)
    path = store.refs.path("weak")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1] + lines[2].replace(b"tree", b"tref") + lines[3])
    assert [naming.object for naming in store.refs.sound_history("weak")] == [
        one.object, three.object,
    ]  # fmt: skip
    assert not check(store).clean
    with pytest.raises(StoreError):
        store.resolve("weak")
