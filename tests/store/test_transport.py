"""How often a remote is asked, what is told of its errors, and what a transfer counts."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from tratree_store import Store, StoreError, UnknownReference, VerificationError, remote, transport
from tratree_store.errors import AmbiguousReference
from tratree_store.objects import File
from tratree_store.remote import pull, push
from tratree_store.transport import Remote

from .conftest import Make


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(transport.time, "sleep", slept.append)
    return slept


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (OSError("reset"), 5), (ValueError("odd"), 5), (OSError(errno.EIO, "broken"), 5),
        (OSError(errno.ENOSPC, "full"), 1), (OSError(errno.EROFS, "read-only"), 1),
    ],
)  # fmt: skip
def test_what_may_pass_is_tried_five_times_with_growing_pauses(
    pauses: list[float], error: Exception, times: int
) -> None:
    asked: list[int] = []

    def fail() -> None:
        asked.append(1)
        raise error

    with pytest.raises(StoreError, match="run the same command again"):
        Remote("memory://x", pause=0.5).patiently("read from", fail)
    assert len(asked) == times
    assert pauses == [0.5, 1.0, 2.0, 4.0][: times - 1]


def test_an_error_is_told_in_at_most_300_characters_and_by_its_name_if_it_says_nothing() -> None:
    there = Remote("memory://x")
    assert there._words(ValueError("a\n  b.")) == "a b"
    assert there._words(ValueError()) == "ValueError"
    assert there._words(ValueError("x" * 400)) == "x" * 300


@pytest.mark.parametrize(
    ("protocol", "said"), [("s3", "'tratree[s3]'"), ("ssh", "'tratree[ssh]'"), ("none", None)]
)
def test_a_missing_package_is_named_where_it_is_known(
    monkeypatch: pytest.MonkeyPatch, protocol: str, said: str | None
) -> None:
    def missing(url: str) -> Any:
        raise ImportError("no such module")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(StoreError) as caught:
        Remote(f"{protocol}://host/x")
    if said:
        assert str(caught.value).endswith(f"a package is missing; type: pip install {said}")
    else:
        assert str(caught.value).endswith("no such module")


def test_an_error_that_is_no_missing_package_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(url: str) -> Any:
        raise ValueError("bad port")

    monkeypatch.setattr("fsspec.core.url_to_fs", refused)
    with pytest.raises(StoreError, match="cannot open s3://host/x: bad port"):
        Remote("s3://host/x")


def stream(tmp_path: Path, before: bytes) -> tuple[bytes, list[int]]:
    """What lies in the part afterwards, and the bytes that moved."""
    (tmp_path / "file").write_bytes(b"0123456789")
    part, moved = tmp_path / "part", list[int]()
    if before:
        part.write_bytes(before)
    file = File("a", "0" * 64, 10)
    Remote(f"file://{tmp_path}").stream("file", part, file, moved.append)
    return part.read_bytes(), moved


@pytest.mark.parametrize(
    ("before", "moved"), [(b"", [10]), (b"0123", [6]), (b"0123456789", []), (b"x" * 11, [10])]
)
def test_a_file_goes_on_where_an_earlier_try_stopped(
    tmp_path: Path, before: bytes, moved: list[int]
) -> None:
    assert stream(tmp_path, before) == (b"0123456789", moved)


def test_a_file_comes_in_pieces_of_a_mebibyte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_CHUNK", 4)
    assert stream(tmp_path, b"") == (b"0123456789", [4, 4, 2])
    assert Remote(f"file://{tmp_path}").read("file", 10) == b"0123456789"


def test_a_push_and_a_pull_count_what_they_moved(store: Store, make: Make, tmp_path: Path) -> None:
    url, other = str(tmp_path / "remote"), Store(tmp_path / "other")
    one = make("demos", {"a": "12345", "b": "678"})
    two = make("tree", {"a": "12345", "c": "90"}, inputs={"demos": one.object, "x": "e" * 64})
    told: list[tuple[int, int]] = []
    sent = push(store, [one], url)
    assert sent.as_json() == {"objects": 1, "files": 2, "bytes": 8, "skipped": 0, "missing": []}
    sent = push(store, [two], url, on_progress=lambda *now: told.append(now))
    assert sent.as_json() == {
        "objects": 1, "files": 1, "bytes": 2, "skipped": 1, "missing": ["e" * 64],
    }  # fmt: skip
    assert told[-1] == (7, 7), "files that were there already count as done"
    pull(other, [one.ref], url)
    _, got = pull(other, [two.ref], url, on_progress=lambda *now: told.append(now))
    assert got.as_json() == {
        "objects": 1, "files": 2, "bytes": 7, "skipped": 1, "missing": ["e" * 64],
    }  # fmt: skip
    assert told[-1] == (7, 7)


def test_a_torn_file_on_a_remote_is_sent_again(store: Store, make: Make, tmp_path: Path) -> None:
    entry = make("tree", {"a": "12345", "b": "678"})
    push(store, [entry], str(tmp_path / "remote"))
    next((tmp_path / "remote" / "manifests").glob("*/*")).unlink()
    torn = next(p for p in (tmp_path / "remote" / "blobs").glob("*/*") if p.stat().st_size == 5)
    torn.write_bytes(b"123")
    assert push(store, [entry], str(tmp_path / "remote")).files == 1
    assert torn.read_bytes() == b"12345"


def test_records_of_others_stay_beside_those_that_are_pushed(
    store: Store, make: Make, tmp_path: Path
) -> None:
    url, other = str(tmp_path / "remote"), Store(tmp_path / "other")
    entries = [make("tree", {"a": "x"}, seed=seed) for seed in (1, 2)]
    for entry in entries:
        push(store, [entry], url)
    records = next((tmp_path / "remote" / "records").glob("*/*"))
    assert len(records.read_bytes().splitlines()) == 2
    before = records.stat()
    push(store, entries[:1], url)
    assert records.stat() == before, "nothing new, nothing written"
    pull(other, [entries[0].ref], url)
    assert {entry.recipe for entry in other.entries()} == {entry.recipe for entry in entries}


def test_a_prefix_on_a_remote_has_four_digits_at_least_and_fits_one_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = ["abcd" + "0" * 60, "abcd" + "1" * 60, "abce" + "0" * 60]
    names = [f"{digest}.json" for digest in digests] + ["abcf-no-digest.json"]
    monkeypatch.setattr(Remote, "listing", lambda self, folder: names)
    there = Remote(str(tmp_path))
    assert remote._resolve(there, "abce") == digests[2]
    assert remote._resolve(there, "tree:abcd0") == digests[0]
    with pytest.raises(AmbiguousReference, match="fits 2 artifacts") as caught:
        remote._resolve(there, "abcd")
    assert list(caught.value.candidates) == digests[:2]
    for nothing in ("abc", "abcf", "abcg", "0000"):
        with pytest.raises(UnknownReference):
            remote._resolve(there, nothing)


def test_a_name_that_means_something_here_keeps_its_meaning(
    store: Store, make: Make, tmp_path: Path
) -> None:
    url, other = str(tmp_path / "remote"), Store(tmp_path / "other")
    entry = make("tree")
    push(store, [entry], url, names={"weak": entry})
    mine = make("model", into=other)
    other.name("weak", mine)
    pull(other, ["weak"], url)
    assert other.names() == {"weak": mine.ref}


def test_a_manifest_that_a_remote_lost_is_told(store: Store, make: Make, tmp_path: Path) -> None:
    url = tmp_path / "remote"
    entry = make("tree")
    push(store, [entry], str(url))
    next((url / "manifests").glob("*/*")).unlink()
    with pytest.raises(VerificationError, match="it has no manifest of"):
        pull(Store(tmp_path / "other"), [entry.ref], str(url))
