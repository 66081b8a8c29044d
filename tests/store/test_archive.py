"""Archives: what is exported can be imported, and whatever else calls itself one is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tratree_store import HostileArchive, Store, VerificationError
from tratree_store.archive import HEADER, Limits, export, import_archive
from tratree_store.entries import Entry, encode
from tratree_store.fsck import check
from tratree_store.keys import dump

from .conftest import Make, flip


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


@pytest.fixture
def entry(make: Make) -> Entry:
    demos = make("demos", {"d": "demo"})
    return make("model", {"weights": "w" * 5000, "sub/c": "{}"}, inputs={"demos": demos.object})


@pytest.mark.parametrize("name", ["weak.tar", "weak.tar.gz"])
def test_an_export_carries_an_artifact_with_its_lineage_to_another_store(
    store: Store, other: Store, entry: Entry, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    export(store, entry, path)
    (found,) = import_archive(other, path)
    assert (found.object, found.recipe, found.document) == (
        entry.object, entry.recipe, entry.document,
    )  # fmt: skip
    assert other.resolve(f"{found.ref}^demos").kind == "demos"
    assert check(other).clean
    assert import_archive(other, path)[0].object == entry.object, "importing twice is harmless"
    assert list(other.tmp.iterdir()) == []


def test_equal_artifacts_give_equal_archives(store: Store, entry: Entry, tmp_path: Path) -> None:
    for name in ("one.tar.gz", "two.tar.gz"):
        export(store, entry, tmp_path / name)
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()


def test_without_lineage_only_the_artifact_is_in_it(
    store: Store, other: Store, entry: Entry, tmp_path: Path
) -> None:
    export(store, entry, tmp_path / "a.tar", lineage=False)
    import_archive(other, tmp_path / "a.tar")
    assert len(list(other.entries())) == 1


def test_a_broken_artifact_is_not_exported(store: Store, entry: Entry, tmp_path: Path) -> None:
    flip(entry.path / "weights")
    with pytest.raises(VerificationError, match="was not exported"):
        export(store, entry, tmp_path / "a.tar")
    assert list(tmp_path.glob("*.tar*")) == []


Members = list[tuple[tarfile.TarInfo, bytes]]


def members(path: Path) -> Members:
    with tarfile.open(path) as tar:
        return [(m, tar.extractfile(m).read()) for m in tar.getmembers()]  # type: ignore[union-attr]


def rewrite(path: Path, content: Members) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for member, data in content:
            if member.isreg():
                member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def renamed(name: str) -> Callable[[Members], Members]:
    def change(content: Members) -> Members:
        content[-1][0].name = name
        return content

    return change


def linked(kind: bytes) -> Callable[[Members], Members]:
    def change(content: Members) -> Members:
        member = content[-1][0]
        member.type, member.linkname, member.size = kind, "/etc/passwd", 0
        return [*content[:-1], (member, b"")]

    return change


def replaced(prefix: str, data: Callable[[bytes], bytes]) -> Callable[[Members], Members]:
    def change(content: Members) -> Members:
        done = False
        found: Members = []
        for member, old in content:
            hit = member.name.startswith(prefix) and not done
            found.append((member, data(old) if hit else old))
            done = done or hit
        assert done
        return found

    return change


def many(content: Members) -> Members:
    extra = [(tarfile.TarInfo(f"blobs/aa/{n:064d}"), b"x") for n in range(5000)]
    return [*content, *extra]


def hostile_manifest(content: Members) -> Members:
    """A manifest with a right digest whose path leaves the folder."""
    header = json.loads(content[0][1])
    evil = b"evil"
    row = {"path": "../../evil", "sha256": hashlib.sha256(evil).hexdigest(), "size": len(evil)}
    manifest = dump({"files": [row]})
    digest = hashlib.sha256(manifest).hexdigest()
    template = next(data for m, data in content if m.name.startswith("records/"))
    record = json.loads(template.splitlines()[0])
    record = {**record, "object": digest}
    from tratree_store.atomic import seal

    header |= {"objects": [digest], "root": {"object": digest, "recipe": record["recipe"]}}
    return [
        (tarfile.TarInfo(HEADER), dump(header)),
        (tarfile.TarInfo(f"manifests/{digest[:2]}/{digest}.json"), manifest),
        (tarfile.TarInfo(f"records/{digest[:2]}/{digest}.json"), seal(record)),
        (tarfile.TarInfo(f"blobs/{row['sha256'][:2]}/{row['sha256']}"), evil),
    ]


ATTACKS: dict[str, Callable[[Members], Members]] = {
    "path traversal": renamed("../../../tmp/evil"),
    "absolute name": renamed("/tmp/evil"),
    "symbolic link": linked(tarfile.SYMTYPE),
    "hard link": linked(tarfile.LNKTYPE),
    "device": linked(tarfile.CHRTYPE),
    "pipe": linked(tarfile.FIFOTYPE),
    "folder": linked(tarfile.DIRTYPE),
    "extended header": linked(tarfile.XHDTYPE),
    "long name": linked(tarfile.GNUTYPE_LONGNAME),
    "sparse file": linked(tarfile.GNUTYPE_SPARSE),
    "wrong bytes": replaced("blobs/", lambda old: b"v" + old[1:]),
    "longer file": replaced("blobs/", lambda old: old + b"x"),
    "shorter file": replaced("blobs/", lambda old: old[:-1]),
    "changed manifest": replaced("manifests/", lambda old: old.replace(b"weights", b"weighty")),
    "changed record": replaced("records/", lambda old: old.replace(b"make-", b"fake-")),
    "no records": replaced("records/", lambda old: b""),
    "header that is no JSON": replaced(HEADER, lambda old: b"["),
    "deep header": replaced(HEADER, lambda old: b"[" * 100_000),
    "thousands of files": many,
    "missing file": lambda content: content[:-1],
    "twice the same file": lambda content: [*content, content[-1]],
    "another order": lambda content: [content[0], *reversed(content[1:])],
    "manifest that leaves its folder": hostile_manifest,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_archive_is_refused_with_nothing_written(
    store: Store, other: Store, entry: Entry, tmp_path: Path, attack: str
) -> None:
    path = tmp_path / "evil.tar"
    export(store, entry, path)
    rewrite(path, ATTACKS[attack](members(path)))
    refused_and_clean(other, path)


def refused_and_clean(other: Store, path: Path, limits: Limits | None = None) -> None:
    other.prepare()
    before = sorted(other.root.parent.rglob("*"))
    with pytest.raises(HostileArchive) as caught:
        import_archive(other, path, limits)
    assert caught.value.exit_code == 12
    assert "\n" not in str(caught.value)
    assert sorted(other.root.parent.rglob("*")) == before


def test_garbage_truncation_and_a_flipped_byte_are_refused(
    store: Store, other: Store, entry: Entry, tmp_path: Path
) -> None:
    path = tmp_path / "a.tar"
    export(store, entry, path)
    whole = path.read_bytes()
    end = whole.rstrip(b"\0")
    for number, data in enumerate(
        (b"", b"x" * 100, b"\0" * 4096, whole[:700], end[:-600], b"\x1f\x8b\x08rubbish" * 99)
    ):
        path.write_bytes(data)
        refused_and_clean(other, path)
        assert number >= 0
    for offset in range(0, len(end), len(end) // 60):
        data = bytearray(whole)
        data[offset] ^= 0x10
        path.write_bytes(bytes(data))
        try:
            import_archive(Store(tmp_path / "fresh"), path)
        except HostileArchive:
            continue
        # A flip in padding or in a field that means nothing here changes nothing.
        assert check(Store(tmp_path / "fresh")).clean


def test_a_compressed_bomb_is_refused_before_it_unpacks(other: Store, tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    header = tarfile.TarInfo(HEADER)
    header.size = 1 << 20
    with gzip.open(path, "wb", 9) as stream:
        stream.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(100):
            stream.write(bytes(1 << 20))
    refused_and_clean(other, path, Limits(ratio=1))


def test_limits_on_artifacts_files_and_bytes_hold(
    store: Store, other: Store, entry: Entry, tmp_path: Path
) -> None:
    path = tmp_path / "a.tar"
    export(store, entry, path)
    for limits in (Limits(objects=1), Limits(files=2), Limits(size=5000)):
        refused_and_clean(other, path, limits)


def test_a_record_that_claims_another_key_is_refused(
    store: Store, other: Store, entry: Entry, tmp_path: Path
) -> None:
    from dataclasses import replace

    path = tmp_path / "a.tar"
    export(store, entry, path)
    forged = encode(replace(entry, recipe="f" * 64))
    digest = entry.object

    def forge(content: Members) -> Members:
        return [(m, forged if m.name.endswith(f"{digest}.json") and "records" in m.name else d)
                for m, d in content]  # fmt: skip

    rewrite(path, forge(members(path)))
    refused_and_clean(other, path)
