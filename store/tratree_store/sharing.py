"""The form in which artifacts travel: named by digests alone, in remotes and archives alike.

    blobs/ab/SHA256            the bytes of one file
    manifests/ab/OBJECT.json   the manifest of an object
    records/ab/OBJECT.json     the sealed records of its entries, one a line
    names/NAME                 one sealed line: what a name means

No name that a user or a stranger chose ever becomes part of a path on the way; the paths inside an
artifact exist only in its manifest, where they are checked on arrival. The index never travels.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from tratree_store import entries as records
from tratree_store.atomic import make_folder, unique
from tratree_store.entries import Entry
from tratree_store.errors import StoreError, VerificationError, explained
from tratree_store.locks import Lock
from tratree_store.objects import FILES, File, Manifest, damage, folder_of, remove_folder
from tratree_store.store import Store

#: The records, and the manifest, of one arriving object (bytes).
MAX_RECORDS = 16 << 20
MAX_MANIFEST = 16 << 20


@dataclass(frozen=True)
class Limits:
    """What one import or pull takes at most.

    Attributes:
        objects: artifacts, lineage included.
        files: files of all artifacts together.
        size: bytes of all files together.
        described: bytes of all manifests and records together.
        ratio: bytes unpacked for a byte of archive (text compresses ten to forty times).
    """

    objects: int = 10_000
    files: int = 100_000
    size: int = 1 << 40
    described: int = 256 << 20
    ratio: int = 200


class Announcement:
    """What arriving artifacts say that they hold, added up and held against the limits.

    Every method raises ``StoreError`` when a limit is passed, before anything is fetched.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.manifests: dict[str, Manifest] = {}
        #: Each file once, by its sha256.
        self.blobs: dict[str, File] = {}
        self._described = 0
        self._files = 0

    @property
    def size(self) -> int:
        """Bytes of all files, each counted once."""
        return sum(file.size for file in self.blobs.values())

    def described(self, data: bytes) -> bytes:
        """Count a manifest or the records of an object."""
        self._described += len(data)
        if self._described > self.limits.described:
            raise StoreError(
                f"the manifests and records take more than {self.limits.described} bytes"
            )
        return data

    def counted(self, objects: int) -> None:
        """Hold the number of artifacts against the limit."""
        if objects > self.limits.objects:
            raise StoreError(f"there are more than {self.limits.objects} artifacts")

    def add(self, digest: str, manifest: Manifest) -> None:
        """Take note of an object's files."""
        self.manifests[digest] = manifest
        self._files += len(manifest.files)
        if self._files > self.limits.files:
            raise StoreError(f"there are more than {self.limits.files} files")
        for file in manifest.files:
            before = self.blobs.setdefault(file.sha256, file)
            if before.size != file.size:
                raise VerificationError(
                    f"the file {file.sha256[:12]} is announced with two sizes, {before.size} and "
                    f"{file.size} bytes"
                )

    def refuse_too_much(self, folder: Path) -> None:
        """Raise unless the files may come and have room on the disk of ``folder``."""
        if self.size > self.limits.size:
            raise StoreError(f"the files take {self.size} bytes, and {self.limits.size} may come")
        free = shutil.disk_usage(folder).free
        if self.size > free:
            raise StoreError(f"the files take {self.size} bytes, and {free} are free in {folder}")


def blob_name(digest: str) -> str:
    """Where the bytes of a file lie."""
    return f"blobs/{digest[:2]}/{digest}"


def manifest_name(digest: str) -> str:
    """Where the manifest of an object lies."""
    return f"manifests/{digest[:2]}/{digest}.json"


def records_name(digest: str) -> str:
    """Where the records of an object lie."""
    return f"records/{digest[:2]}/{digest}.json"


def ref_name(name: str) -> str:
    """Where a name lies."""
    return f"names/{quote(name, safe='')}"


def join_records(entries: Iterable[Entry]) -> bytes:
    """The records of one object as lines, in order of recipe."""
    return b"".join(records.encode(entry) for entry in sorted(entries, key=lambda e: e.recipe))


def split_records(data: bytes, digest: str, objects: Path) -> list[Entry]:
    """The entries in such lines; raises ``VerificationError`` unless all speak of ``digest``."""
    found = [
        records.decode(line, objects, f"a record of {digest[:12]}")
        for line in data.splitlines(keepends=True)
    ]
    if not found or any(entry.object != digest for entry in found):
        raise VerificationError(f"the records of {digest[:12]} speak of something else")
    return found


@contextmanager
def arrival(store: Store) -> Iterator[Path]:
    """A private folder in the store for what is arriving; it is gone after the block."""
    folder = store.tmp / f"arriving-{os.getpid()}-{unique()}"
    # A large file may take hours in which nothing in the folder changes: the lock says that
    # somebody is at work.
    with Lock(store.locks / f"{folder.name}.lock"):
        make_folder(folder, durable=False)
        try:
            yield folder
        finally:
            remove_folder(folder)


def has_object(store: Store, digest: str) -> bool:
    """Whether the store holds the object, as far as a quick look tells."""
    with explained("look for an object", store.objects):
        is_there = folder_of(store.objects, digest).is_dir()
    return is_there and not damage(store.objects, digest, deep=False)


def take_in(
    store: Store, folder: Path, entries: Sequence[Entry], manifests: dict[str, Manifest]
) -> list[Entry]:
    """Make arrived artifacts part of the store; everything was verified before.

    Args:
        folder: the arrival folder; the bytes of every file lie in it under their digests.
        entries: inputs before what was made from them.
        manifests: of the objects that the store does not hold yet.
    """
    taken = []
    with store.adding():
        for entry in entries:
            manifest = manifests.get(entry.object)
            if manifest is not None and not has_object(store, entry.object):
                work = folder / f"object-{entry.object}"
                for file in manifest.files:
                    _assemble(folder / file.sha256, work / FILES / file.path)
                store.take_in(work, manifest)
                remove_folder(work)
            path = records.record_path(store.records, entry.recipe, entry.object)
            local = replace(entry, path=folder_of(store.objects, entry.object) / FILES)
            # A record that is here already tells of our own run; keep it, unless it is damaged.
            taken.append(local if _is_whole(path, store.objects) else store.record(local))
    return taken


def _is_whole(record: Path, objects: Path) -> bool:
    try:
        records.read(record, objects)
    except (FileNotFoundError, VerificationError):
        return False
    return True


def _assemble(blob: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        os.link(blob, target)
        return
    shutil.copyfile(blob, target)
