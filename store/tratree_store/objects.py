"""Objects: immutable folders of files, named by the digest of their manifest.

``objects/ab/cdef…/manifest.json`` lists path, size and sha256 of every file under ``files/``; the
object's digest is the sha256 of exactly those bytes, so ``sha256sum manifest.json`` answers whether
a manifest is right and ``sha256sum files/*`` whether the content is. Manifest and files move into
place together by one rename of the folder that holds both. Modes, times and empty folders are not
content. Links and special files are refused: their meaning lies outside the folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tratree_store.atomic import make_folder, read_plain, sync_file, sync_folder, unique
from tratree_store.errors import StoreError, VerificationError, refuse_passing
from tratree_store.faults import point
from tratree_store.group_access import is_shared, widen
from tratree_store.keys import dump, is_digest, sha256

MANIFEST = "manifest.json"
FILES = "files"
#: Files up to this size are hashed whenever an entry is looked up ...
SMALL_FILE = 1 << 20
#: ... smallest first, until this many bytes are read; beyond it only sizes are compared.
SMALL_TOTAL = 4 << 20
MAX_MANIFEST = 64 << 20


@dataclass(frozen=True, order=True)
class File:
    """One file of an object: relative POSIX path, sha256 (64 hex), size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """The files of an object, sorted by path."""

    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    def encode(self) -> bytes:
        """The bytes whose sha256 is the object digest."""
        rows = [{"path": f.path, "sha256": f.sha256, "size": f.size} for f in sorted(self.files)]
        return dump({"files": rows})

    @property
    def digest(self) -> str:
        """The object digest."""
        return sha256(self.encode())

    @classmethod
    def decode(cls, data: bytes, digest: str) -> Manifest:
        """The manifest in ``data``; raises ``VerificationError`` unless it is exactly ``digest``.

        Paths are checked as well: a manifest may come from a stranger, and a right digest does
        not make ``../x`` harmless.
        """
        if sha256(data) != digest:
            raise VerificationError(f"the manifest of object {digest[:12]} is damaged")
        try:
            rows = json.loads(data)["files"]
            files = tuple(File(row["path"], row["sha256"], row["size"]) for row in rows)
            sound = (
                all(isinstance(f.path, str) and is_digest(f.sha256) for f in files)
                and all(type(f.size) is int and f.size >= 0 for f in files)
                and len({f.path for f in files}) == len(files) > 0
                and len({(f.sha256, f.size) for f in files}) == len({f.sha256 for f in files})
            )
            manifest = cls(files)
            sound = sound and manifest.encode() == data
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            sound = False
        if not sound:
            raise VerificationError(f"the manifest of object {digest[:12]} is not a manifest")
        for file in files:
            check_path(file.path)
        folders = {str(above) for file in files for above in PurePosixPath(file.path).parents}
        if folders & {file.path for file in files}:
            raise StoreError(f"object {digest[:12]} uses one path as a file and as a folder")
        return manifest


def check_path(path: str) -> None:
    """Raise ``StoreError`` unless ``path`` stays inside its folder on every system."""
    parts = PurePosixPath(path).parts
    if (
        not path
        or path.startswith("/")
        or "\\" in path
        or ".." in parts
        or str(PurePosixPath(path)) != path
        or path == "."
        or ":" in parts[0]
        or any(unicodedata.category(char) in ("Cc", "Cs") for char in path)
        or any(len(part.encode("utf-8", "replace")) > 255 for part in parts)
    ):
        raise StoreError(f"{path!r} cannot be the name of a file in an artifact")


def folder_of(objects: Path, digest: str) -> Path:
    """Where the object lies: ``objects/ab/cdef…``."""
    return objects / digest[:2] / digest[2:]


def hash_file(path: Path) -> tuple[str, int]:
    """sha256 and size of a file, read in bounded memory."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return digest, os.fstat(stream.fileno()).st_size


def walk(folder: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    """Relative path, path and status of everything under ``folder`` that is not a folder."""
    for entry in sorted(folder.iterdir()):
        status = entry.lstat()
        if stat.S_ISDIR(status.st_mode):
            for inner, path, inner_status in walk(entry):
                yield f"{entry.name}/{inner}", path, inner_status
        else:
            yield entry.name, entry, status


def scan(folder: Path) -> Manifest:
    """Hash every file under ``folder``; refuses links, devices, odd names and an empty folder."""
    files = []
    for name, path, status in walk(folder):
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{name!r} is not a plain file; an artifact may hold only files")
        check_path(name)
        digest, size = hash_file(path)
        files.append(File(name, digest, size))
    if not files:
        raise StoreError("the stage wrote no file, and an artifact needs at least one")
    return Manifest(tuple(sorted(files)))


def place(work: Path, objects: Path, manifest: Manifest, *, durable: bool) -> Path | None:
    """Move ``work`` (which holds ``files/``) to its place; returns a broken predecessor's new path.

    If the object is there already and whole, ``work`` is left for its owner to remove. A broken
    one is moved aside first (into the folder of ``work``), so that the good bytes take its place.
    """
    target = folder_of(objects, manifest.digest)
    (work / MANIFEST).write_bytes(manifest.encode())
    point("publish.manifest")
    for file in manifest.files:
        path = work / FILES / file.path
        path.chmod(0o444)
        if durable:
            sync_file(path)
    (work / MANIFEST).chmod(0o444)
    if is_shared(work.parent):  # the stage made its folders with the umask of its user
        for folder, _, _ in os.walk(work):
            widen(Path(folder))
    if durable:
        sync_file(work / MANIFEST)
        for folder, _, _ in os.walk(work):
            sync_folder(Path(folder))
    point("publish.synced")
    _check_unchanged(work / FILES, manifest)
    make_folder(target.parent, durable)
    broken = None
    is_there = target.is_dir()
    for _ in range(8):
        if is_there:
            if not damage(objects, manifest.digest, deep=True):
                return broken
            broken = work.parent / f"broken-{manifest.digest}-{unique()}"
            with contextlib.suppress(FileNotFoundError):
                target.rename(broken)
        point("object.moving")
        try:
            work.rename(target)
            break
        except OSError as error:
            # Another process was faster: look at its object. On a network file system the kernel
            # may go on saying for a while that it is not there; the rename knows better.
            is_there = error.errno in (errno.EEXIST, errno.ENOTEMPTY) or target.is_dir()
            if not is_there:
                raise
    if durable:
        sync_folder(target.parent)
    point("object.renamed")
    return broken


def _check_unchanged(folder: Path, manifest: Manifest) -> None:
    """Raise ``StoreError`` unless exactly the manifest's files lie in ``folder``."""
    there = {name: status.st_size for name, _, status in walk(folder)}
    if there != {file.path: file.size for file in manifest.files}:
        raise StoreError(
            f"the files in {folder} changed while they were published, and nothing was; run again"
        )


def read_manifest(objects: Path, digest: str) -> Manifest:
    """The checked manifest of an object; raises ``VerificationError`` if missing or damaged."""
    path = folder_of(objects, digest) / MANIFEST
    try:
        return Manifest.decode(read_plain(path, MAX_MANIFEST), digest)
    except OSError as error:
        raise VerificationError(
            f"object {digest[:12]} cannot be read ({error.strerror or error})"
        ) from error


def damage(objects: Path, digest: str, *, deep: bool) -> list[str]:
    """What is wrong with an object, one sentence each; empty if nothing is.

    ``deep`` hashes every byte and looks for files that do not belong; otherwise sizes are compared
    and only small files are hashed (``SMALL_FILE``, ``SMALL_TOTAL``).
    """
    try:
        manifest = read_manifest(objects, digest)
    except VerificationError as error:
        return [str(error)]
    folder = folder_of(objects, digest) / FILES
    found = []
    budget = SMALL_TOTAL
    for file in sorted(manifest.files, key=lambda f: f.size):
        path = folder / file.path
        label = f"{file.path} of object {digest[:12]}"
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                found.append(f"{label} is not a plain file")
            elif status.st_size != file.size:
                found.append(f"{label} has {status.st_size} bytes instead of {file.size}")
            elif deep or (file.size <= SMALL_FILE and file.size <= budget):
                budget -= file.size
                if hash_file(path)[0] != file.sha256:
                    found.append(f"{label} has other bytes than its digest says")
        except OSError as error:
            refuse_passing(error, path)
            found.append(f"{label} cannot be read ({error.strerror or error})")
    if deep:
        known = {file.path for file in manifest.files}
        with contextlib.suppress(OSError):
            found += [
                f"{name} of object {digest[:12]} does not belong to it"
                for name, _, _ in walk(folder)
                if name not in known
            ]
    return found


def remove_folder(folder: Path) -> None:
    """Delete a folder (or a file) of ours, read-only files included; a missing one is fine."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.unlink()


def all_digests(objects: Path) -> Iterator[str]:
    """Digests of the objects that lie on disk, in order; names that are none are passed over."""
    for shard in names_in(str(objects), folders=True):
        for name in names_in(f"{objects}/{shard}"):
            if is_digest(shard + name):
                yield shard + name


def names_in(place: str, *, folders: bool = False) -> list[str]:
    """Names of what lies in ``place`` (or of its folders), in order; none if it is missing.

    Plain strings: where a hundred thousand objects lie, making path objects costs more than the
    disk does.
    """
    try:
        with os.scandir(place) as found:
            return sorted(entry.name for entry in found if not folders or entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def unreadable(folder: Path) -> bool:
    """Whether something under ``folder`` may not be read by this user."""
    try:
        return any(
            not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)
            for _, path, _ in walk(folder)
        )
    except PermissionError:
        return True
    except OSError:
        return False
