"""The check of everything: every byte, every record, every name, the index against the disk.

``check`` only looks. ``repair`` then puts what is broken aside (``quarantine/``, never deleted),
notes it in ``gone/`` so that ``why`` can tell, cuts damaged lines out of name histories and
rebuilds the index. What the check calls an error makes the store unclean; a note (an input that was
collected, leftovers of a killed process) does not.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratree_store import entries as records
from tratree_store import gone
from tratree_store.atomic import unique
from tratree_store.entries import Entry
from tratree_store.errors import StoreError, VerificationError, explained
from tratree_store.gc import leftovers
from tratree_store.keys import is_digest, sha256
from tratree_store.locks import locked
from tratree_store.migrations import FORMAT_FILE
from tratree_store.objects import all_digests, damage, folder_of, remove_folder
from tratree_store.rows import COLUMNS, Row, edges_of, row_of
from tratree_store.store import Store


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        what: ``object``, ``record``, ``name``, ``index``, ``stray``, ``orphan``, ``leftover``,
            ``dangling``.
        where: the path, or the digest of the object.
        text: one sentence.
        error: whether the store is unclean because of it.
    """

    what: str
    where: str
    text: str
    error: bool = True

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return {"what": self.what, "where": self.where, "text": self.text, "error": self.error}


@dataclass(frozen=True)
class Report:
    """What a check found, and how much it looked at."""

    findings: tuple[Finding, ...]
    objects: int
    entries: int
    names: int

    @property
    def clean(self) -> bool:
        """Whether nothing is an error."""
        return not any(finding.error for finding in self.findings)


def check(
    store: Store, *, deep: bool = True, on_progress: Callable[[int], None] | None = None
) -> Report:
    """Look at everything; ``deep=False`` compares large files by size only. Changes nothing."""
    store.check_format()
    if not store.root.is_dir():
        return Report((), 0, 0, 0)
    findings: list[Finding] = []
    broken: set[str] = set()
    objects = 0
    for digest in all_digests(store.objects):
        objects += 1
        for text in damage(store.objects, digest, deep=deep):
            broken.add(digest)
            findings.append(Finding("object", digest, text))
        if on_progress is not None:
            on_progress(objects)
    findings += _strays(store)
    found, bad = _entries(store)
    findings += bad
    findings += _against_objects(store, found)
    broken |= {finding.where for finding in findings if finding.what == "object"}
    findings += _gone(store)
    names, bad = _names(store, {entry.object for entry in found.values()} - broken)
    findings += bad
    findings += _index(store, found)
    findings += _partial(store)
    findings += _leftovers(store)
    return Report(tuple(findings), objects, len(found), names)


def _strays(store: Store) -> Iterator[Finding]:
    """Files where none belong, and a format file that cannot be read."""
    if not (store.root / FORMAT_FILE).exists() and store.objects.is_dir():
        text = f"{FORMAT_FILE} is missing; the next write restores it."
        yield Finding("stray", FORMAT_FILE, text, error=False)
    for base in (store.objects, store.records):
        for shard in sorted(base.iterdir()) if base.is_dir() else ():
            sound = shard.is_dir() and is_digest(shard.name + "0" * 62)
            for path in sorted(shard.iterdir()) if sound else [shard]:
                if path is shard or not is_digest(shard.name + path.name):
                    where = str(path.relative_to(store.root))
                    yield Finding("stray", where, f"{where} does not belong there.")


def _entries(store: Store) -> tuple[dict[tuple[str, str], Entry], list[Finding]]:
    found, bad = {}, []
    for path in records.all_records(store.records):
        try:
            entry = records.read(path, store.objects)
        except VerificationError as error:
            bad.append(Finding("record", str(path.relative_to(store.root)), str(error)))
        except OSError as error:
            text = f"{path} cannot be read ({error.strerror})."
            bad.append(Finding("record", str(path.relative_to(store.root)), text))
        else:
            found[entry.recipe, entry.object] = entry
    return found, bad


def _against_objects(store: Store, found: dict[tuple[str, str], Entry]) -> Iterator[Finding]:
    present = set(all_digests(store.objects))
    recorded = {entry.object for entry in found.values()}
    for digest in sorted(recorded - present):
        yield Finding("object", digest, f"Object {digest[:12]} is missing; records speak of it.")
    for digest in sorted(present - recorded):
        text = f"Object {digest[:12]} has no record (its maker died); `store gc` takes it."
        yield Finding("orphan", digest, text, error=False)
    needed = {d for entry in found.values() for ds in entry.inputs.values() for d in ds}
    for digest in sorted(needed - recorded):
        text = f"Input {digest[:12]} is not in the store (collected or never pulled)."
        yield Finding("dangling", digest, text, error=False)


def _gone(store: Store) -> Iterator[Finding]:
    for path in records.all_records(store.buried):
        try:
            gone.read(path, store.objects)
        except (VerificationError, OSError) as error:
            yield Finding("record", str(path.relative_to(store.root)), str(error))


def _partial(store: Store) -> Iterator[Finding]:
    for path in sorted((store.root / "partial").glob("*.json")):
        if sha256(path.read_bytes().rstrip(b"\n")) != path.stem:
            where = str(path.relative_to(store.root))
            yield Finding("stray", where, f"{where} does not describe its folder.")


def _names(store: Store, whole: set[str]) -> tuple[int, list[Finding]]:
    bad, count = [], 0
    for name in store.refs.names():
        where = str(store.refs.path(name).relative_to(store.root))
        try:
            current = store.refs.current(name)
        except VerificationError as error:
            bad.append(Finding("name", where, str(error)))
            continue
        count += current is not None
        if current is not None and current.object not in whole:
            text = f"The name {name!r} means {current.ref[:24]}, which is not there or broken."
            bad.append(Finding("name", where, text))
    return count, bad


def _index(store: Store, found: dict[tuple[str, str], Entry]) -> Iterator[Finding]:
    path = store.index.path
    if not path.exists():
        if found:
            text = "The index is missing; the next question rebuilds it."
            yield Finding("index", path.name, text, error=False)
        return
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            verdict = database.execute("PRAGMA integrity_check").fetchone()[0]
        with store.index.reading() as database:  # and not ``rows``, which would mend it
            lines = [Row(*found) for found in database.execute(f"SELECT {COLUMNS} FROM entries")]
            rows = {(row.recipe, row.object): row for row in lines}
            edges = set(database.execute("SELECT recipe, role, position, object FROM inputs"))
    except (sqlite3.Error, StoreError) as error:
        yield Finding("index", path.name, f"The index cannot be read ({error}).")
        return
    if verdict != "ok":
        yield Finding("index", path.name, f"The index is damaged ({verdict}).")
    for key in sorted(set(rows) - set(found)):
        if not records.record_path(store.records, *key).exists():  # else it came meanwhile
            text = f"The index lists {key[1][:12]}, which has no record."
            yield Finding("index", path.name, text)
    for key in sorted(set(found) - set(rows)):
        yield Finding("index", path.name, f"The index does not list {key[1][:12]}.")
    for key in sorted(set(found) & set(rows)):
        if rows[key] != row_of(found[key]) or not edges.issuperset(edges_of(found[key])):
            yield Finding("index", path.name, f"The index is wrong about {key[1][:12]}.")


def _leftovers(store: Store) -> Iterator[Finding]:
    for path in leftovers(store, time.time(), 3600.0):
        if path.parent == store.tmp:
            where = str(path.relative_to(store.root))
            text = f"{where} was left by a process that is gone; `store gc` removes it."
            yield Finding("leftover", where, text, error=False)


def repair(store: Store, report: Report) -> list[str]:
    """Put aside what the report calls broken and rebuild the index; one line per deed."""
    store.prepare()
    done: list[str] = []
    with explained("repair the store", store.root):
        store.quarantine.mkdir(exist_ok=True)
        with locked(store.locks / "gc.lock"):
            for finding in report.findings:
                done += _repair_one(store, finding)
        if not report.clean:
            count = store.index.rebuild()
            done.append(f"rebuilt the index ({count} entries)")
    return done


def _repair_one(store: Store, finding: Finding) -> Iterator[str]:
    if finding.what == "object":
        yield from _drop_object(store, finding.where)
    elif finding.what in ("record", "stray") and finding.error:
        if _put_aside(store, store.root / finding.where):
            yield f"put {finding.where} into quarantine"
    elif finding.what == "name":
        yield from _mend_name(store, store.root / finding.where)
    elif finding.what == "leftover":
        remove_folder(store.root / finding.where)
        yield f"removed {finding.where}"


def _drop_object(store: Store, digest: str) -> Iterator[str]:
    if not damage(store.objects, digest, deep=True):
        return  # made again since the check
    if _put_aside(store, folder_of(store.objects, digest)):
        yield f"put object {digest[:12]} into quarantine"
    for path in records.all_records(store.records):
        if path.stem == digest:
            gone.bury(store.buried, path, "broken", store.tmp, store.durable)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
            yield f"dropped the entry {digest[:12]} of recipe {path.parent.name[:10]}"


def _mend_name(store: Store, path: Path) -> Iterator[str]:
    from urllib.parse import unquote

    name = unquote(path.name)
    history = store.refs.sound_history(name)
    objects = {record.stem for record in records.all_records(store.records)}
    # A name falls back to the last thing it meant that is still there.
    while history and history[-1].object and history[-1].object not in objects:
        history.pop()
    _put_aside(store, path)
    if history:
        store.refs.rewrite(name, history)
        meaning = history[-1].ref[:24] or "nothing"
        yield f"the name {name!r} means {meaning} again"
    else:
        yield f"dropped the name {name!r}: nothing it meant is left"


def _put_aside(store: Store, path: Path) -> bool:
    try:
        kept = path.relative_to(store.root).as_posix().replace("/", "-")
        path.rename(store.quarantine / f"{kept}-{unique()}")
    except FileNotFoundError:
        return False
    return True
