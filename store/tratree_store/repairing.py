"""The repair of what a check calls broken: put aside, never deleted, and noted for ``why``.

Whatever the report says is looked at once more under the collection lock, for the store lives on
between the check and the repair.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tratree_store import entries as records
from tratree_store import gone
from tratree_store.atomic import make_folder, sync_folder, unique
from tratree_store.copying import copy_file
from tratree_store.errors import VerificationError, explained
from tratree_store.findings import Finding, Report
from tratree_store.leftovers import leftovers
from tratree_store.locks import locked
from tratree_store.objects import damage, folder_of, remove_folder
from tratree_store.refs import Naming
from tratree_store.store import Store


def repair(store: Store, report: Report) -> list[str]:
    """Put aside what the report calls broken and rebuild the index; one line per deed."""
    store.prepare()
    done: list[str] = []
    with explained("repair the store", store.root):
        make_folder(store.quarantine, store.durable)
        with locked(store.locks / "gc.lock"):
            for finding in report.findings:
                done += _repair_one(store, finding)
        if not report.clean:
            count = store.index.rebuild()
            done.append(f"rebuilt the index ({count} entries)")
    return done


def _repair_one(store: Store, finding: Finding) -> Iterator[str]:
    if finding.what == "record" and _is_sound(store, store.root / finding.where):
        return  # it could not be read a moment ago, and can be now
    if finding.what == "object":
        yield from _drop_object(store, finding.where)
    elif finding.what in ("record", "stray") and finding.error:
        if _put_aside(store, store.root / finding.where):
            yield f"put {finding.where} into quarantine"
    elif finding.what == "name":
        yield from _mend_name(store, store.root / finding.where)
    elif finding.what == "leftover":
        path = store.root / finding.where
        if path in leftovers(store, time.time(), 3600.0):
            away = store.tmp / f"trash-{unique()}"
            with contextlib.suppress(FileNotFoundError):
                path.rename(away)
            remove_folder(away)
            yield f"removed {finding.where}"


def _is_sound(store: Store, path: Path) -> bool:
    try:
        if store.buried in path.parents:
            gone.read(path, store.objects)
        else:
            records.read(path, store.objects)
    except (VerificationError, OSError):
        return False
    return True


def _drop_object(store: Store, digest: str) -> Iterator[str]:
    if not damage(store.objects, digest, deep=True):
        return  # made again since the check
    for path in records.all_records(store.records):
        if path.stem == digest:
            gone.bury(store.buried, path, "broken", store.tmp, store.durable)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
            _flush(store, path.parent, path.parent.parent)
            yield f"dropped the entry {digest[:12]} of recipe {path.parent.name[:10]}"
    if _put_aside(store, folder_of(store.objects, digest)):
        yield f"put object {digest[:12]} into quarantine"


def _mend_name(store: Store, path: Path) -> Iterator[str]:
    name = unquote(path.name, errors="surrogateescape")
    with contextlib.suppress(VerificationError):
        naming = store.refs.current(name)
        if naming is None or _is_there(store, naming):
            return  # given anew since the check
    try:
        history, salvaged = store.refs.sound_history(name), _salvaged(store, name)
    except VerificationError as error:
        # What cannot be read is not nothing: it stays, and a collection goes on refusing.
        yield f"left {path} as it is: {error}"
        return
    if salvaged is not None and (not history or history[-1].object != salvaged.object):
        history.append(salvaged)
    objects = {record.stem for record in records.all_records(store.records)}
    # A name falls back to the last thing it meant that is still there.
    while history and history[-1].object and history[-1].object not in objects:
        history.pop()
    if history:
        _keep_copy(store, path)  # the name is never gone: one rename replaces its file
        store.refs.rewrite(name, history)
        meaning = history[-1].ref[:24] or "nothing"
        yield f"the name {name!r} means {meaning} again"
    else:
        _put_aside(store, path)
        yield f"dropped the name {name!r}: nothing it meant is left"


def _is_there(store: Store, naming: Naming) -> bool:
    return not damage(store.objects, naming.object, deep=True) and any(
        path.stem == naming.object for path in records.all_records(store.records)
    )


def _salvaged(store: Store, name: str) -> Naming | None:
    """What the last line of a damaged history meant, if the store confirms it.

    A line holds the digests of an object and of its recipe; one that survived the damage names the
    other, for the record of the two lies in the store.
    """
    words = store.refs.digests_in(name)
    if not words:
        return None
    for path in records.all_records(store.records):
        recipe = path.parent.parent.name + path.parent.name
        if recipe in words[-1] or path.stem in words[-1]:
            with contextlib.suppress(VerificationError, OSError):
                entry = records.read(path, store.objects)
                return Naming(time.time(), entry.kind, entry.object, entry.recipe)
    return None


def _keep_copy(store: Store, path: Path) -> None:
    if path.is_file() and not path.is_symlink():
        copy_file(path, store.quarantine / f"refs-{path.name[:150]}-{unique()}")
    else:
        _put_aside(store, path)  # a folder or a device in the place of a name


def _put_aside(store: Store, path: Path) -> bool:
    try:
        kept = path.relative_to(store.root).as_posix().replace("/", "-")
        path.rename(store.quarantine / f"{kept[:150]}-{unique()}")
    except FileNotFoundError:
        return False
    _flush(store, store.quarantine, path.parent)
    return True


def _flush(store: Store, *folders: Path) -> None:
    """Flush names that came and went, so that a repair that was reported outlives a power cut."""
    for folder in folders if store.durable else ():
        with contextlib.suppress(FileNotFoundError):
            sync_folder(folder)
