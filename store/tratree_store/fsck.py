"""The check of everything: every byte, every record, every name, the index against the disk.

``check`` only looks; ``repair`` (see ``repairing``) then puts what is broken aside. What the check
calls an error makes the store unclean; a note (an input that was collected, leftovers of a killed
process, what this user may not read) does not.

Others go on working meanwhile. The bytes are hashed without a lock, which takes long; all that can
look wrong for a moment is then looked at while no collection runs, where a lock can be had at all
(a store on a read-only disk, or of another user, has none to give).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from tratree_store import entries as records
from tratree_store import gone
from tratree_store.atomic import read_plain
from tratree_store.entries import Entry
from tratree_store.errors import NewerRecord, VerificationError, explained
from tratree_store.findings import Finding, Report
from tratree_store.index_check import differences
from tratree_store.keys import is_digest, sha256
from tratree_store.leftovers import leftovers
from tratree_store.locks import locked
from tratree_store.migrations import FORMAT_FILE
from tratree_store.objects import all_digests, damage, folder_of, unreadable
from tratree_store.repairing import repair
from tratree_store.store import Store

__all__ = ["Finding", "Report", "check", "repair"]


def check(
    store: Store, *, deep: bool = True, on_progress: Callable[[int], None] | None = None
) -> Report:
    """Look at everything; ``deep=False`` compares large files by size only. Changes nothing."""
    store.check_format()
    with explained("check the store", store.root):
        if not store.root.is_dir():
            return Report((), 0, 0, 0)
        suspected = []
        for number, digest in enumerate(all_digests(store.objects), start=1):
            if damage(store.objects, digest, deep=deep):
                suspected.append(digest)
            if on_progress is not None:
                on_progress(number)
        with _undisturbed(store):
            return _report(store, suspected)


@contextlib.contextmanager
def _undisturbed(store: Store) -> Iterator[None]:
    """While no collection runs, if that can be arranged here."""
    lock = contextlib.ExitStack()
    with contextlib.suppress(OSError):
        if (store.locks / "gc.lock").exists():
            lock.enter_context(locked(store.locks / "gc.lock", shared=True))
    with lock:
        yield


def _report(store: Store, suspected: list[str]) -> Report:
    findings = list(_strays(store))
    found, bad = _entries(store)
    findings += bad
    # After the records: an object comes before its record.
    present = set(all_digests(store.objects))
    recorded = {entry.object for entry in found.values()}
    broken = set()
    unread = 0
    for digest in (digest for digest in suspected if digest in present):
        problems = damage(store.objects, digest, deep=True)
        if problems and unreadable(folder_of(store.objects, digest)):
            unread += 1
        elif problems and digest in recorded:
            broken.add(digest)
            findings += [Finding("object", digest, text) for text in problems]
        elif problems:
            text = (
                f"object {digest[:12]} is not whole and has no record; `tratree store gc` takes it"
            )
            findings.append(Finding("orphan", digest, text, error=False))
    if unread:
        text = f"{unread} objects may not be read by this user, and were not checked"
        findings.append(Finding("unread", "objects", text, error=False))
    for digest in sorted(recorded - present):
        broken.add(digest)
        text = f"object {digest[:12]} is missing; records speak of it"
        findings.append(Finding("object", digest, text))
    findings += _against_records(present - set(suspected), found)
    findings += _gone(store)
    names, bad = _names(store, recorded - broken)
    findings += bad
    findings += differences(store.index, store.records, found)
    findings += _partial(store)
    findings += _leftovers(store)
    return Report(tuple(findings), len(present), len(found), names)


def _strays(store: Store) -> Iterator[Finding]:
    """Files where none belong, and a format file that cannot be read."""
    if not (store.root / FORMAT_FILE).exists() and store.objects.is_dir():
        text = f"{FORMAT_FILE} is missing; the next write restores it"
        yield Finding("stray", FORMAT_FILE, text, error=False)
    for base in (store.objects, store.records):
        for shard in sorted(base.iterdir()) if base.is_dir() else ():
            sound = shard.is_dir() and is_digest(shard.name + "0" * 62)
            for path in sorted(shard.iterdir()) if sound else [shard]:
                if path is shard or not is_digest(shard.name + path.name):
                    where = str(path.relative_to(store.root))
                    yield Finding("stray", where, f"{where} does not belong there")


def _entries(store: Store) -> tuple[dict[tuple[str, str], Entry], list[Finding]]:
    found, bad = {}, []
    for path in records.all_records(store.records):
        where = str(path.relative_to(store.root))
        try:
            entry = records.read(path, store.objects)
        except NewerRecord as error:
            bad.append(Finding("newer", where, str(error)))
        except VerificationError as error:
            bad.append(Finding("record", where, str(error)))
        except PermissionError:
            text = f"{where} may not be read by this user, and was not checked"
            bad.append(Finding("unread", where, text, error=False))
        except FileNotFoundError:
            continue  # it went while we looked
        except OSError as error:
            text = f"{where} cannot be read ({error.strerror or error})"
            bad.append(Finding("record", where, text))
        else:
            found[entry.recipe, entry.object] = entry
    return found, bad


def _against_records(whole: set[str], found: dict[tuple[str, str], Entry]) -> Iterator[Finding]:
    recorded = {entry.object for entry in found.values()}
    for digest in sorted(whole - recorded):
        text = f"object {digest[:12]} has no record (its maker died); `tratree store gc` takes it"
        yield Finding("orphan", digest, text, error=False)
    needed = {d for entry in found.values() for ds in entry.inputs.values() for d in ds}
    for digest in sorted(needed - recorded):
        text = f"input {digest[:12]} is not in the store (collected or never pulled)"
        yield Finding("dangling", digest, text, error=False)


def _gone(store: Store) -> Iterator[Finding]:
    for path in records.all_records(store.buried):
        where = str(path.relative_to(store.root))
        try:
            gone.read(path, store.objects)
        except NewerRecord:
            continue
        except (PermissionError, FileNotFoundError):
            continue
        except (VerificationError, OSError) as error:
            yield Finding("record", where, str(error))


def _partial(store: Store) -> Iterator[Finding]:
    for path in sorted((store.root / "partial").glob("*.json")):
        where = str(path.relative_to(store.root))
        try:
            sound = sha256(read_plain(path).rstrip(b"\n")) == path.stem
        except (PermissionError, FileNotFoundError):
            continue
        except OSError:
            sound = False
        if not sound:
            yield Finding("stray", where, f"{where} does not describe its folder")


def _names(store: Store, whole: set[str]) -> tuple[int, list[Finding]]:
    bad, count = [], 0
    for name in store.refs.names():
        where = str(store.refs.path(name).relative_to(store.root))
        try:
            current = store.refs.current(name)
        except VerificationError as error:
            if isinstance(error.__cause__, PermissionError):
                text = f"{where} may not be read by this user, and was not checked"
                bad.append(Finding("unread", where, text, error=False))
            else:
                bad.append(Finding("name", where, str(error)))
            continue
        count += current is not None
        if current is not None and current.object not in whole:
            with contextlib.suppress(OSError, VerificationError):
                path = records.record_path(store.records, current.recipe, current.object)
                records.read(path, store.objects)
                if not damage(store.objects, current.object, deep=True):
                    continue  # it came while we looked
            text = f"the name {name!r} means {current.ref[:24]}, which is not there or broken"
            bad.append(Finding("name", where, text))
    return count, bad


def _leftovers(store: Store) -> Iterator[Finding]:
    for path in leftovers(store, time.time(), 3600.0):
        if path.parent == store.tmp:
            where = str(path.relative_to(store.root))
            text = f"{where} was left by a process that is gone; `tratree store gc` removes it"
            yield Finding("leftover", where, text, error=False)
