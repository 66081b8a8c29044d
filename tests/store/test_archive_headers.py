"""What one header of an archive may say, field by field, and how far an archive is unpacked."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from tratree_store import HostileArchive, Store
from tratree_store.archive import _CHUNK, HEADER, _expect, _read_header, _Reader, export
from tratree_store.keys import dump
from tratree_store.sharing import Limits

from .conftest import Make

ROOM = 1 << 20


def header(name: str = "blobs/ab/x", size: int = 5) -> bytearray:
    member = tarfile.TarInfo(name)
    member.size = size
    return bytearray(member.tobuf(tarfile.GNU_FORMAT))


def summed(block: bytearray) -> bytes:
    """The header with the checksum that fits it."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def read(block: bytes) -> tuple[str, int] | None:
    return _Reader(io.BytesIO(block), ROOM).header()


@pytest.mark.parametrize("length", [1, 99, 100])
def test_a_name_of_up_to_100_letters_and_a_size_are_read(length: int) -> None:
    assert read(summed(header("n" * length, 0o77777777777))) == ("n" * length, 0o77777777777)


def test_a_size_over_8_gib_is_read() -> None:
    assert read(bytes(header("big", (1 << 35) + 3))) == ("big", (1 << 35) + 3)


def test_an_empty_number_is_zero_and_words_are_none() -> None:
    for text, size in ((b"\0" * 12, 0), (b"00000000017\0", 15), (b"17 \0".ljust(12, b"\0"), 15)):
        block = header()
        block[124:136] = text
        assert read(summed(block)) == ("blobs/ab/x", size)
    block[124:136] = b"0000000009a\0"
    with pytest.raises(HostileArchive, match="a number"):
        read(summed(block))


@pytest.mark.parametrize("place", [0, 99, 100, 124, 135, 136, 147, 148, 153, 156, 345, 511])
def test_a_changed_byte_without_its_checksum_is_noticed(place: int) -> None:
    block = bytearray(summed(header("n" * 100)))
    block[place] ^= 0x01
    with pytest.raises(HostileArchive, match=r"a header in it is damaged|a number"):
        read(bytes(block))


@pytest.mark.parametrize("place", [156, 157, 256, 345, 499])
def test_a_header_of_anything_but_a_plain_file_is_refused(place: int) -> None:
    block = header()
    block[place] = ord("1")
    with pytest.raises(HostileArchive, match="other than plain files"):
        read(summed(block))


def test_a_name_outside_ascii_is_refused() -> None:
    block = header()
    block[3] = 0xE9
    with pytest.raises(HostileArchive, match="other than plain files"):
        read(summed(block))


def test_an_empty_block_is_the_end() -> None:
    assert read(bytes(512)) is None


def test_an_archive_is_unpacked_up_to_its_room_and_no_further() -> None:
    assert _Reader(io.BytesIO(bytes(512)), 512).header() is None
    with pytest.raises(HostileArchive, match="far more"):
        _Reader(io.BytesIO(bytes(512)), 511).header()
    with pytest.raises(HostileArchive, match="too early"):
        _Reader(io.BytesIO(bytes(511)), 512).header()


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, _CHUNK, _CHUNK + 1])
def test_members_follow_each_other_in_whole_blocks(size: int, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("one", "two", "three"):
            member = tarfile.TarInfo(name)
            member.size = size
            tar.addfile(member, io.BytesIO(name[:1].encode() * size))
    stream.seek(0)
    reader = _Reader(stream, 4 * _CHUNK)
    assert reader.header() == ("one", size)
    assert reader.data(size) == b"o" * size
    assert reader.header() == ("two", size)
    reader.copy(size, tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == b"t" * size
    assert reader.header() == ("three", size)


def test_a_member_may_be_as_large_as_its_limit_and_must_be_the_one_expected() -> None:
    def expect(name: str, limit: int) -> int:
        return _expect(_Reader(io.BytesIO(summed(header())), ROOM), name, limit)

    assert expect("blobs/ab/x", 5) == 5
    with pytest.raises(HostileArchive, match="blobs/ab/x in it is larger than it may be"):
        expect("blobs/ab/x", 4)
    with pytest.raises(HostileArchive, match="it has 'blobs/ab/x' where records should be"):
        expect("records", 5)
    with pytest.raises(HostileArchive, match="it has its end where records should be"):
        _expect(_Reader(io.BytesIO(bytes(512)), ROOM), "records", 5)
    empty = header(size=0)
    assert _expect(_Reader(io.BytesIO(summed(empty)), ROOM), "blobs/ab/x", 0) == 0


DIGESTS = [f"{number:064x}" for number in range(3)]
SOUND = {
    "format": 1,
    "root": {"object": DIGESTS[0], "recipe": DIGESTS[1]},
    "objects": DIGESTS,
    "files": 3,
}


def first(document: object, limits: Limits | None = None, pad: int = 0) -> object:
    data = dump(document).ljust(pad)
    stream = io.BytesIO(summed(header(HEADER, len(data))) + data + bytes(-len(data) % 512))
    return _read_header(_Reader(stream, ROOM), limits or Limits())


def test_the_first_member_names_the_artifact_and_all_that_come() -> None:
    assert first(SOUND) == ((DIGESTS[0], DIGESTS[1]), DIGESTS)
    assert first(SOUND, Limits(objects=3)) == ((DIGESTS[0], DIGESTS[1]), DIGESTS)
    with pytest.raises(HostileArchive, match="more than 2 artifacts"):
        first(SOUND, Limits(objects=2))


def test_the_first_member_takes_4_kib_and_128_bytes_an_artifact_at_most() -> None:
    limit = 128 * 10 + 4096
    assert first(SOUND, Limits(objects=10), limit)
    with pytest.raises(HostileArchive, match="larger than it may be"):
        first(SOUND, Limits(objects=10), limit + 1)


@pytest.mark.parametrize(
    "change",
    [
        {"format": True}, {"format": "1"}, {"format": None},
        {"objects": dict.fromkeys(DIGESTS)}, {"objects": "0" * 64},
        {"objects": [*DIGESTS[:2], "x"]}, {"objects": [*DIGESTS[:2], 7]},
        {"objects": [*DIGESTS, DIGESTS[2]]}, {"objects": DIGESTS[::-1]},
        {"root": {"object": "x", "recipe": DIGESTS[1]}},
        {"root": {"object": DIGESTS[0], "recipe": None}},
        {"root": DIGESTS[0]},
    ],
    ids=str,
)  # fmt: skip
def test_a_first_member_is_refused_for_any_single_field(change: dict[str, object]) -> None:
    with pytest.raises(HostileArchive, match="its header is not one"):
        first({**SOUND, **change})


def test_a_newer_archive_says_so() -> None:
    with pytest.raises(HostileArchive, match="it has format 2; use a newer tratree"):
        first({**SOUND, "format": 2})


def test_what_is_exported_is_read_only_and_without_time_or_owner(
    store: Store, make: Make, tmp_path: Path
) -> None:
    export(store, make("tree", {"a": "x"}), tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        for member in tar.getmembers():
            assert (member.mode, member.mtime, member.uid, member.uname) == (0o444, 0, 0, "")
