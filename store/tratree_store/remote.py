"""Push and pull: artifacts to and from any fsspec URL, each byte checked on arrival.

A manifest is written after its files, and records after the manifest, so a remote that was left in
the middle holds files that nobody mentions, never an artifact with holes; the next push finds them
there and goes on. A pull keeps finished files (and the beginning of an unfinished one) in
``incoming/`` until all have come, so that an interrupted one goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tratree_store import refs as ref_lines
from tratree_store import sharing
from tratree_store.atomic import make_folder
from tratree_store.entries import Entry
from tratree_store.errors import (
    AmbiguousReference,
    StoreError,
    UnknownReference,
    VerificationError,
    explained,
)
from tratree_store.group_access import inherit
from tratree_store.keys import is_digest
from tratree_store.locks import Lock
from tratree_store.objects import (
    FILES,
    File,
    Manifest,
    damage,
    folder_of,
    hash_file,
    read_manifest,
)
from tratree_store.refs import Naming
from tratree_store.sharing import Announcement, Limits
from tratree_store.store import Store
from tratree_store.transport import Remote

T = TypeVar("T")
Progress = Callable[[int, int], None]


@dataclass
class Transfer:
    """What a push or pull moved: objects, files and bytes; ``skipped`` objects were there."""

    objects: int = 0
    files: int = 0
    bytes: int = 0
    skipped: int = 0
    missing: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """All counts."""
        return {
            "objects": self.objects,
            "files": self.files,
            "bytes": self.bytes,
            "skipped": self.skipped,
            "missing": list(self.missing),
        }


class _Counter:
    """Bytes moved by several threads, told to one callable."""

    def __init__(self, total: int, on_progress: Progress | None) -> None:
        self._done, self._total = 0, total
        self._tell = on_progress
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self._tell is not None:
                self._tell(min(self._done, self._total), self._total)


def _all(jobs: int, action: Callable[[T], None], items: Iterable[T]) -> None:
    """``action`` on every item, ``jobs`` at once; the first failure stops what has not begun."""
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [pool.submit(action, item) for item in items]
        try:
            for future in futures:
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            raise


def push(
    store: Store,
    roots: Sequence[Entry],
    url: str,
    *,
    names: Mapping[str, Entry] | None = None,
    lineage: bool = True,
    jobs: int = 8,
    on_progress: Progress | None = None,
) -> Transfer:
    """Copy entries (by default with everything they were made from) to ``url``.

    Only what is missing there travels. Every local byte is verified before it goes: a broken
    artifact must not spread. Raises ``VerificationError`` or ``StoreError``.
    """
    remote = Remote(url)
    graph = store.lineage(roots)
    entries = list(graph.entries.values()) if lineage else list(roots)
    by_object: dict[str, list[Entry]] = {}
    for entry in entries:
        by_object.setdefault(entry.object, []).append(entry)
    done = Transfer(missing=tuple(sorted(graph.missing.values())) if lineage else ())
    going: dict[str, Manifest] = {}
    for digest in by_object:
        if remote.has(sharing.manifest_name(digest)):
            done.skipped += 1
            continue
        problems = damage(store.objects, digest, deep=True)
        if problems:
            raise VerificationError(f"{problems[0]}; it was not pushed")
        going[digest] = read_manifest(store.objects, digest)
    blobs = {
        file.sha256: (file, folder_of(store.objects, digest) / FILES / file.path)
        for digest, manifest in going.items()
        for file in manifest.files
    }
    counter = _Counter(sum(file.size for file, _ in blobs.values()), on_progress)

    def send(item: tuple[File, Path]) -> None:
        file, path = item
        name = sharing.blob_name(file.sha256)
        # By size, for what was left there by a file system that flushes nothing may be torn.
        if not remote.has(name) or remote.size(name) not in (None, file.size):
            remote.write(name, path)
            done.files += 1
            done.bytes += file.size
        counter.add(file.size)

    _all(jobs, send, blobs.values())
    for digest, manifest in going.items():
        remote.write(sharing.manifest_name(digest), manifest.encode())
        done.objects += 1
    for digest, made_by in by_object.items():
        _push_records(remote, store, digest, made_by)
    for name, entry in (names or {}).items():
        naming = Naming(round(time.time(), 3), entry.kind, entry.object, entry.recipe)
        remote.write(sharing.ref_name(name), ref_lines.encode(name, naming))
    return done


def _push_records(remote: Remote, store: Store, digest: str, entries: list[Entry]) -> None:
    """Add records to those of the object that others pushed."""
    name = sharing.records_name(digest)
    data = remote.read(name, sharing.MAX_RECORDS)
    there = sharing.split_records(data, digest, store.objects) if data is not None else []
    merged = {entry.recipe: entry for entry in [*entries, *there]}
    if data is None or len(merged) > len(there):
        remote.write(name, sharing.join_records(merged.values()))


def pull(
    store: Store,
    references: Sequence[str],
    url: str,
    *,
    lineage: bool = True,
    jobs: int = 8,
    on_progress: Progress | None = None,
    limits: Limits | None = None,
) -> tuple[list[Entry], Transfer]:
    """Copy artifacts (by default with everything they were made from) from ``url``.

    A reference is a full digest (with or without its kind), a name that was pushed, or, where the
    remote can be listed, a prefix. Returns the newest entry of each reference and the counts.
    Raises ``VerificationError`` for bytes that are not what their digest says, and ``StoreError``
    for more than ``limits`` allow or the disk holds; then nothing of that pull became part of the
    store.
    """
    remote = Remote(url)
    store.prepare()
    wanted = {text: _resolve(remote, text) for text in references}
    announced = Announcement(limits or Limits())
    with _refusing(remote):
        entries, missing = _closure(store, remote, list(wanted.values()), lineage, announced)
        done = Transfer(missing=missing)
        for digest in sorted({entry.object for entry in entries}):
            if sharing.has_object(store, digest):
                done.skipped += 1
                continue
            data = remote.read(sharing.manifest_name(digest), sharing.MAX_MANIFEST)
            if data is None:
                raise VerificationError(f"it has no manifest of {digest[:12]}")
            announced.add(digest, Manifest.decode(announced.described(data), digest))
        announced.refuse_too_much(store.root)
    manifests, blobs = announced.manifests, announced.blobs
    counter = _Counter(announced.size, on_progress)
    incoming = store.root / "incoming"
    with explained("pull", store.root), sharing.arrival(store) as folder:
        make_folder(incoming, store.durable)

        def fetch(file: File) -> None:
            _fetch(store, remote, incoming, folder, file, counter.add)

        _all(jobs, fetch, blobs.values())
        sharing.take_in(store, folder, entries, manifests)
        # Also what a pull that was killed had fetched for objects that it did finish.
        for arrived in entries:
            for file in read_manifest(store.objects, arrived.object).files:
                (incoming / file.sha256).unlink(missing_ok=True)
    done.objects, done.files = len(manifests), len(blobs)
    done.bytes = sum(file.size for file in blobs.values())
    found = []
    for text, digest in wanted.items():
        entry = store.entry_of(digest)
        if entry is None:
            raise StoreError(f"{text!r} was pulled and is not in the store")
        found.append(entry)
        _take_name(store, remote, text, entry)
    return found, done


@contextlib.contextmanager
def _refusing(remote: Remote) -> Iterator[None]:
    """Say which remote it was that holds too much, or what cannot be."""
    try:
        yield
    except (UnknownReference, AmbiguousReference):
        raise
    except StoreError as error:
        raise type(error)(f"{remote.shown} was refused: {error}; nothing was pulled") from error


def _take_name(store: Store, remote: Remote, text: str, entry: Entry) -> None:
    """A name that was asked for comes along, unless it means something here already."""
    with contextlib.suppress(StoreError):
        ref_lines.check_name(text)
        if store.refs.current(text) is None and remote.has(sharing.ref_name(text)):
            store.name(text, entry)


def _fetch(
    store: Store,
    remote: Remote,
    incoming: Path,
    folder: Path,
    file: File,
    moved: Callable[[int], None],
) -> None:
    whole, part = incoming / file.sha256, incoming / f"{file.sha256}.part"
    lock = Lock(store.locks / f"incoming-{file.sha256}.lock")
    with lock:
        for last in (False, True):
            # What an earlier try left may be what is wrong, or be collected under our hands: once
            # more from the beginning.
            with contextlib.suppress(FileNotFoundError):
                if not whole.exists():
                    part.touch()
                    inherit(part)  # another member of the group may go on with it
                    remote.stream(sharing.blob_name(file.sha256), part, file, moved)
                    part.replace(whole)
                if hash_file(whole) == (file.sha256, file.size):
                    (folder / file.sha256).hardlink_to(whole)
                    return
                whole.unlink()
            if last:
                raise VerificationError(
                    f"{file.path} came from {remote.shown} with other bytes or another size than "
                    "announced; nothing was kept"
                )


def _resolve(remote: Remote, text: str) -> str:
    """The object digest that a reference means on the remote."""
    _, _, word = text.rpartition(":")
    if is_digest(word):
        return word
    with contextlib.suppress(StoreError):
        ref_lines.check_name(word)
        data = remote.read(sharing.ref_name(word), 1 << 16)
        if data is not None:
            return ref_lines.decode(data, word).object
    if len(word) >= 4 and all(char in "0123456789abcdef" for char in word):
        names = remote.listing(f"records/{word[:2]}")
        digests = sorted({name.removesuffix(".json") for name in names if name.startswith(word)})
        digests = [digest for digest in digests if is_digest(digest)]
        if len(digests) > 1:
            raise AmbiguousReference(
                f"{text!r} fits {len(digests)} artifacts on {remote.shown}; write more digits",
                digests,
            )
        if digests:
            return digests[0]
    raise UnknownReference(
        f"no artifact on {remote.shown} answers to {text!r}; give a full digest or a pushed name"
    )


def _closure(
    store: Store, remote: Remote, roots: list[str], lineage: bool, announced: Announcement
) -> tuple[list[Entry], tuple[str, ...]]:
    """The entries of the roots and of all they were made from, inputs first; what is missing."""
    found: dict[str, list[Entry]] = {}
    missing: dict[str, None] = {}
    todo = list(roots)
    while todo:
        digest = todo.pop()
        if digest in found or digest in missing:
            continue
        data = remote.read(sharing.records_name(digest), sharing.MAX_RECORDS)
        if data is None:
            if digest in roots:
                raise UnknownReference(f"{remote.shown} does not have {digest[:12]}")
            missing[digest] = None
            announced.counted(len(missing))
            continue
        found[digest] = sharing.split_records(announced.described(data), digest, store.objects)
        announced.counted(len(found))
        if lineage:
            inputs = [entry.inputs.values() for entry in found[digest]]
            todo += [d for digests in inputs for group in digests for d in group]
    entries = [entry for made_by in found.values() for entry in made_by]
    # An input may be newer than what was made from it (two clocks); within one recipe graph the
    # order is only a courtesy to whoever is killed in the middle.
    return sorted(entries, key=lambda e: (e.created, e.recipe)), tuple(sorted(missing))
