"""What arrives from a remote or an archive: one size a digest, limits before bytes, no guesses."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tratree_store import Entry, Store, StoreError, VerificationError, sharing
from tratree_store.archive import export, import_archive
from tratree_store.entries import encode
from tratree_store.fsck import check
from tratree_store.keys import dump, sha256
from tratree_store.objects import File, Manifest
from tratree_store.remote import pull, push
from tratree_store.sharing import Limits

from .conftest import Make


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


def put(remote: Path, name: str, data: bytes) -> None:
    path = remote / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def announce(remote: Path, like: Entry, manifest: Manifest) -> str:
    """Put an object with this manifest and a sound record on a remote; returns its digest."""
    digest = manifest.digest
    put(remote, sharing.manifest_name(digest), manifest.encode())
    put(remote, sharing.records_name(digest), encode(replace(like, object=digest)))
    return digest


def nothing_came(store: Store) -> bool:
    report = check(store)
    return report.clean and report.objects == report.entries == 0


def test_a_file_that_is_announced_with_two_sizes_is_refused(
    store: Store, other: Store, make: Make, tmp_path: Path
) -> None:
    remote = tmp_path / "remote"
    entry = make("tree", {"a": "text"})
    push(store, [entry], str(remote))
    lie = Manifest((File("b", sha256(b"text"), 1),))
    digest = announce(remote, entry, lie)
    with pytest.raises(StoreError, match="two sizes"):
        pull(other, [entry.ref, digest], str(remote))
    assert nothing_came(other)


def test_a_manifest_that_gives_one_file_two_sizes_is_none() -> None:
    files = (File("a", "0" * 64, 1), File("b", "0" * 64, 2))
    manifest = Manifest(files)
    with pytest.raises(VerificationError):
        Manifest.decode(manifest.encode(), manifest.digest)


@pytest.mark.parametrize(
    "row",
    [
        {"path": None, "sha256": "0" * 64, "size": 1},
        {"path": 7, "sha256": "0" * 64, "size": 1},
        {"path": ["a"], "sha256": "0" * 64, "size": 1},
        {"path": "a", "sha256": None, "size": 1},
        {"path": "a", "sha256": 7, "size": 1},
        {"path": "a", "sha256": "0" * 64, "size": None},
        {"path": "a", "sha256": "0" * 64, "size": True},
        None,
        [],
    ],
)
def test_a_manifest_with_values_of_the_wrong_type_is_none(row: Any) -> None:
    data = dump({"files": [row]})
    with pytest.raises(VerificationError, match="manifest"):
        Manifest.decode(data, sha256(data))


def test_a_finished_file_of_an_earlier_pull_is_compared_with_the_announced_size(
    store: Store, other: Store, make: Make, tmp_path: Path
) -> None:
    remote = tmp_path / "remote"
    entry = make("tree", {"a": "text"})
    push(store, [entry], str(remote))
    digest = announce(remote, entry, Manifest((File("b", sha256(b"text"), 1),)))
    other.prepare()
    (other.root / "incoming").mkdir()
    (other.root / "incoming" / sha256(b"text")).write_bytes(b"text")
    with pytest.raises(StoreError, match="size"):
        pull(other, [digest], str(remote))
    assert nothing_came(other)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(objects=2), "more than 2 artifacts"),
        (Limits(files=2), "more than 2 files"),
        (Limits(size=10), "may come"),
        (Limits(described=1000), "manifests and records"),
    ],
)
def test_a_pull_holds_to_its_limits_before_it_fetches_a_file(
    store: Store, other: Store, make: Make, tmp_path: Path, limits: Limits, words: str
) -> None:
    remote = tmp_path / "remote"
    parent = make("demos", {"d": "demonstrations"})
    middle = make("model", {"m": "model"}, inputs={"demos": parent.object})
    entry = make("tree", {"a": "text"}, inputs={"model": middle.object})
    push(store, [entry], str(remote))
    shutil.rmtree(remote / "blobs")
    with pytest.raises(StoreError, match=words):
        pull(other, [entry.ref], str(remote), limits=limits)
    assert nothing_came(other)


def test_a_pull_that_has_no_room_is_refused_before_it_fetches(
    store: Store, other: Store, make: Make, tmp_path: Path
) -> None:
    remote = tmp_path / "remote"
    entry = make("tree", {"a": "text"})
    push(store, [entry], str(remote))
    huge = shutil.disk_usage(tmp_path).free * 2
    digest = announce(remote, entry, Manifest((File("b", "1" * 64, huge),)))
    with pytest.raises(StoreError, match="are free"):
        pull(other, [digest], str(remote), limits=Limits(size=1 << 62))
    assert nothing_came(other)


def test_a_lineage_without_end_on_a_remote_is_refused(
    store: Store, other: Store, make: Make, tmp_path: Path
) -> None:
    remote = tmp_path / "remote"
    entries = [make("tree", seed=0)]
    for seed in range(1, 8):
        entries.append(make("tree", inputs={"tree": entries[-1].object}, seed=seed))
    push(store, [entries[-1]], str(remote))
    with pytest.raises(StoreError, match="more than 5 artifacts"):
        pull(other, [entries[-1].ref], str(remote), limits=Limits(objects=5))


def test_a_file_of_an_earlier_pull_that_is_collected_meanwhile_is_fetched_again(
    store: Store, other: Store, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tratree_store import remote as transfers

    remote = tmp_path / "remote"
    entry = make("tree", {"a": "text"})
    push(store, [entry], str(remote))
    real = transfers.hash_file
    taken: list[Path] = []

    def collected_first(path: Path) -> tuple[str, int]:
        if not taken:
            taken.append(path)
            path.unlink()
        return real(path)

    monkeypatch.setattr(transfers, "hash_file", collected_first)
    pulled, _ = pull(other, [entry.ref], str(remote))
    assert taken
    assert other.verify(pulled[0]) == []


def test_an_export_does_not_write_through_a_link_that_somebody_put_in_its_way(
    store: Store, make: Make, tmp_path: Path
) -> None:
    entry = make("tree")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".weak.tar.part").symlink_to(victim)
    export(store, entry, tmp_path / "weak.tar")
    assert victim.read_text() == "precious"
    assert (tmp_path / ".weak.tar.part").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".weak.tar.part",
        "store",
        "victim",
        "weak.tar",
    ]


def test_an_archive_holds_to_the_limit_on_manifests_and_records(
    store: Store, other: Store, make: Make, tmp_path: Path
) -> None:
    entry = make("tree", summary={"much": "x" * 5000})
    export(store, entry, tmp_path / "a.tar.gz")
    with pytest.raises(StoreError, match="manifests and records"):
        import_archive(other, tmp_path / "a.tar.gz", Limits(described=4000))
    assert nothing_came(other)
