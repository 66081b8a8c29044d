"""One artifact with its lineage as a single file, and the suspicious reading of such files.

An export is a plain (optionally gzipped) tar of the travelling form (see ``sharing``): a header,
the manifests, the records, the blobs. Equal artifacts give equal archives.

An import trusts nothing. It does not use a tar library, because those implement what an attacker
wants (links, devices, extended headers of any size, sparse files); it reads 512-byte headers itself
and accepts only plain files whose names are the digests it expects, in the order it expects, with
the sizes that the manifests announced. Nothing is written outside a private folder, nothing becomes
part of the store before everything was verified, and the limits hold before a byte is unpacked.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from tratree_store import sharing
from tratree_store.atomic import sync_file, sync_folder, unique
from tratree_store.entries import Entry
from tratree_store.errors import HostileArchive, StoreError, VerificationError, explained
from tratree_store.keys import dump, is_digest
from tratree_store.objects import (
    FILES,
    MANIFEST,
    Manifest,
    damage,
    folder_of,
    read_manifest,
)
from tratree_store.sharing import Announcement, Limits
from tratree_store.store import Store

HEADER = "tratree-artifacts.json"
ARCHIVE_FORMAT = 1
_BLOCK = 512
_CHUNK = 1 << 20
_GRACE = 64 << 20


def export(store: Store, entry: Entry, path: Path, *, lineage: bool = True) -> None:
    """Write an entry (by default with all it was made from) to ``path``; ``.gz`` compresses.

    Every byte is verified first. The file appears under its name only when it is whole.
    """
    graph = store.lineage([entry])
    entries = list(graph.entries.values()) if lineage else [entry]
    by_object: dict[str, list[Entry]] = {}
    for each in entries:
        by_object.setdefault(each.object, []).append(each)
    for digest in by_object:
        problems = damage(store.objects, digest, deep=True)
        if problems:
            raise VerificationError(f"{problems[0]}; it was not exported")
    # Created here and nowhere else: a name that can be guessed could be a link somewhere else.
    beside = path.with_name(f".{path.name[:200]}.{unique()}.part")
    with explained("export", path.parent):
        try:
            with beside.open("xb") as raw, _compressed(raw, path) as stream:
                _write(store, stream, entry, by_object)
            sync_file(beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(path.parent)


@contextmanager
def _compressed(raw: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    if path.suffix in (".gz", ".tgz"):
        with gzip.GzipFile("", "wb", 6, raw, mtime=0) as stream:
            yield cast("IO[bytes]", stream)
    else:
        yield raw


def _write(store: Store, stream: IO[bytes], root: Entry, by_object: dict[str, list[Entry]]) -> None:
    manifests = {digest: read_manifest(store.objects, digest) for digest in sorted(by_object)}
    blobs = {
        file.sha256: folder_of(store.objects, digest) / FILES / file.path
        for digest, manifest in manifests.items()
        for file in manifest.files
    }
    header = {
        "format": ARCHIVE_FORMAT,
        "root": {"object": root.object, "recipe": root.recipe},
        "objects": sorted(by_object),
        "files": len(blobs),
    }
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        _add_bytes(tar, HEADER, dump(header))
        for digest in manifests:
            data = (folder_of(store.objects, digest) / MANIFEST).read_bytes()
            _add_bytes(tar, sharing.manifest_name(digest), data)
        for digest in manifests:
            data = sharing.join_records(by_object[digest])
            _add_bytes(tar, sharing.records_name(digest), data)
        for digest, path in sorted(blobs.items()):
            with path.open("rb") as content:
                _add(tar, sharing.blob_name(digest), path.stat().st_size, content)


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    _add(tar, name, len(data), io.BytesIO(data))


def _add(tar: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o444
    tar.addfile(member, content)


def import_archive(store: Store, path: Path, limits: Limits | None = None) -> list[Entry]:
    """Take in an archive; returns the entries that were exported (not their lineage).

    Raises ``HostileArchive`` or ``VerificationError``, with nothing written, for anything that
    ``export`` would not have written.
    """
    bounds = limits or Limits()
    store.prepare()
    with explained("import", store.root), sharing.arrival(store) as folder:
        try:
            with path.open("rb") as raw:
                zipped = raw.read(2) == b"\x1f\x8b"
                raw.seek(0)
                stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw) if zipped else raw)
                room = path.stat().st_size * (bounds.ratio if zipped else 1) + _GRACE
                reader = _Reader(stream, room)
                root, entries, manifests = _read(store, reader, folder, bounds)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise HostileArchive(f"{path} is damaged ({error}); nothing was imported") from error
        except StoreError as error:
            raise HostileArchive(f"{path} was refused: {error}; nothing was imported") from None
        taken = sharing.take_in(store, folder, entries, manifests)
    return [entry for entry in taken if (entry.object, entry.recipe) == root]


class _Reader:
    """Members of a tar, one after the other; only plain files, and never more than announced."""

    def __init__(self, stream: IO[bytes], room: int) -> None:
        self._stream = stream
        self._room = room

    def _take(self, count: int) -> bytes:
        self._room -= count
        if self._room < 0:
            raise HostileArchive("it unpacks to far more than its size allows")
        data = self._stream.read(count)
        if len(data) != count:
            raise HostileArchive("it ends too early")
        return data

    def header(self) -> tuple[str, int] | None:
        """Name and size of the next member; None at the end."""
        block = self._take(_BLOCK)
        if block == bytes(_BLOCK):
            return None
        total = sum(block) - sum(block[148:156]) + 8 * 32
        if _octal(block[148:156]) != total:
            raise HostileArchive("a header in it is damaged")
        name = block[:100].rstrip(b"\0")
        kind, prefix = block[156:157], block[345:500].rstrip(b"\0")
        plain = kind == b"0" and not prefix and not block[157:257].rstrip(b"\0")
        if not plain or not name.isascii():
            raise HostileArchive("it holds something other than plain files (a link, a device)")
        return name.decode("ascii"), _octal(block[124:136])

    def data(self, size: int) -> bytes:
        """The content of a small member."""
        data = self._take(size)
        self._take(-size % _BLOCK)
        return data

    def copy(self, size: int, target: Path) -> str:
        """Write the content of a member to ``target``; returns its sha256."""
        digest = hashlib.sha256()
        left = size
        with target.open("xb") as stream:
            while left:
                chunk = self._take(min(_CHUNK, left))
                digest.update(chunk)
                stream.write(chunk)
                left -= len(chunk)
        self._take(-size % _BLOCK)
        return digest.hexdigest()


def _octal(field: bytes) -> int:
    if field[:1] == b"\x80":  # GNU's form for sizes over 8 GiB
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.rstrip(b"\0 ") or b"0", 8)
    except ValueError:
        raise HostileArchive("a number in a header of it is none") from None


def _expect(reader: _Reader, name: str, limit: int) -> int:
    member = reader.header()
    if member is None or member[0] != name:
        found = "its end" if member is None else repr(member[0][:80])
        raise HostileArchive(f"it has {found} where {name[:40]} should be")
    if not 0 <= member[1] <= limit:
        raise HostileArchive(f"{name[:40]} in it is larger than it may be")
    return member[1]


def _read(
    store: Store, reader: _Reader, folder: Path, limits: Limits
) -> tuple[tuple[str, str], list[Entry], dict[str, Manifest]]:
    root, objects = _read_header(reader, limits)
    announced = Announcement(limits)
    for digest in objects:
        size = _expect(reader, sharing.manifest_name(digest), sharing.MAX_MANIFEST)
        data = announced.described(reader.data(size))
        announced.add(digest, Manifest.decode(data, digest))
    announced.refuse_too_much(folder)
    entries = []
    for digest in objects:
        size = _expect(reader, sharing.records_name(digest), sharing.MAX_RECORDS)
        data = announced.described(reader.data(size))
        entries += sharing.split_records(data, digest, store.objects)
    if root not in {(entry.object, entry.recipe) for entry in entries}:
        raise HostileArchive("it does not hold the artifact that its header names")
    for digest, file in sorted(announced.blobs.items()):
        if _expect(reader, sharing.blob_name(digest), file.size) != file.size:
            raise HostileArchive(f"file {digest[:12]} in it has another size than announced")
        if reader.copy(file.size, folder / digest) != digest:
            raise HostileArchive(f"file {digest[:12]} in it has other bytes than its digest says")
    if reader.header() is not None:
        raise HostileArchive("it holds more files than its manifests announce")
    return root, sorted(entries, key=lambda e: (e.created, e.recipe)), announced.manifests


def _read_header(reader: _Reader, limits: Limits) -> tuple[tuple[str, str], list[str]]:
    size = _expect(reader, HEADER, 128 * limits.objects + 4096)
    try:
        header = json.loads(reader.data(size))
        number, objects = header["format"], header["objects"]
        root = (header["root"]["object"], header["root"]["recipe"])
        sound = (
            type(number) is int
            and isinstance(objects, list)
            and all(isinstance(d, str) and is_digest(d) for d in (*objects, *root))
            and objects == sorted(set(objects))
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        sound, number, objects, root = False, 0, [], ("", "")
    if sound and number > ARCHIVE_FORMAT:
        raise HostileArchive(f"it has format {number}; use a newer tratree")
    if not sound:
        raise HostileArchive("its header is not one that `tratree store export` writes")
    if len(objects) > limits.objects:
        raise HostileArchive(f"it holds more than {limits.objects} artifacts")
    return root, objects
