"""The store: recipes in, verified artifacts out.

This file is the door; each idea behind it has a file of its own. Reading never creates anything and
never trusts what it reads: a damaged entry is a warning and a miss. Writing goes through ``build``,
which holds the recipe's lock, hands out a private folder, and publishes it in one rename.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tratree_store import entries as records
from tratree_store import gone
from tratree_store.atomic import make_folder, sync_folder, write_atomic
from tratree_store.building import Build
from tratree_store.entries import Entry
from tratree_store.errors import (
    StoreError,
    UnknownReference,
    VerificationError,
    explained,
)
from tratree_store.faults import point
from tratree_store.gone import Gone
from tratree_store.group_access import widen_all
from tratree_store.holders import Holder
from tratree_store.index import Index
from tratree_store.keys import JSON, Recipe, canonical_json, input_digests, sha256
from tratree_store.leases import Leases
from tratree_store.lineage import Lineage, lineage
from tratree_store.locks import VARIABLE as LOCKS_VARIABLE
from tratree_store.locks import Lock, locked
from tratree_store.migrations import FORMAT_FILE, STORE_FORMAT, check_format
from tratree_store.objects import Manifest, damage, folder_of, place
from tratree_store.references import Resolver
from tratree_store.refs import Naming, Refs
from tratree_store.why import Accept, Reason, explain

_log = logging.getLogger("tratree_store")


class Store:
    """A store of artifacts in one folder.

    Args:
        root: the folder; it is created by the first write, and a missing one reads as empty.
        durable: flush everything to the disk before it counts. Without it a power cut (never a
            killed process) may lose or damage the newest artifacts; for scratch stores.
        on_warning: told about trouble that was worked around, one sentence each.
    """

    def __init__(
        self,
        root: Path,
        *,
        durable: bool = True,
        on_warning: Callable[[str], None] = _log.warning,
    ) -> None:
        self.root = Path(root).absolute()  # a stage may change the working folder
        self.durable = durable
        self.on_warning = on_warning
        self.objects = self.root / "objects"
        self.records = self.root / "entries"
        self.tmp = self.root / "tmp"
        self.locks = self.root / "locks"
        self.buried = self.root / "gone"
        self.quarantine = self.root / "quarantine"
        self.index = Index(self.root, self._warn, durable)
        self.refs = Refs(self.root, durable)
        self.leases = Leases(self.locks)
        self._resolver = Resolver(self.index, self.refs, self._load)

    def _warn(self, text: str) -> None:
        self.on_warning(text)

    # -- reading ---------------------------------------------------------------------------

    def find(self, recipe: Recipe, accept: Accept | None = None) -> Entry | None:
        """The newest whole entry of this recipe that ``accept`` has nothing against, or None.

        Small files are hashed, large ones compared by size; ``verify`` hashes everything. What
        is broken is warned about and passed over.
        """
        self.check_format()
        for entry in self.records_of(recipe.digest):
            if accept is not None and accept(entry):
                continue
            self.leases.take(entry.object)
            if not self._recorded(entry):
                continue
            problems = damage(self.objects, entry.object, deep=False)
            if not problems:
                # "Used lately" protects from collection; the time of the record says so.
                with contextlib.suppress(OSError):
                    os.utime(records.record_path(self.records, entry.recipe, entry.object))
                return entry
            self._warn(f"cached {entry.ref[:24]} is broken and will be made again: {problems[0]}")
        return None

    def records_of(self, recipe: str) -> list[Entry]:
        """The entries of a recipe digest, newest first, whether their objects are whole or not."""
        with explained("look for a recipe", self.records):
            paths = records.of_recipe(self.records, recipe)
        found = [entry for path in paths if (entry := self._read(path))]
        return sorted(found, key=lambda e: (e.created, e.object), reverse=True)

    def _read(self, path: Path) -> Entry | None:
        try:
            return records.read(path, self.objects)
        except VerificationError as error:
            self._warn(f"{error}; it is passed over, see `tratree store fsck`")
        except FileNotFoundError:
            pass
        except OSError as error:
            self._warn(f"{path} cannot be read ({error.strerror or error}); it is passed over")
        return None

    def _load(self, recipe: str, digest: str) -> Entry | None:
        return self._read(records.record_path(self.records, recipe, digest))

    def resolve(self, text: str, kind: str | None = None) -> Entry:
        """The entry that a reference means; see ``references`` for the forms.

        Raises ``UnknownReference`` or ``AmbiguousReference`` (with ``candidates``).
        """
        self.check_format()
        entry = self._resolver.resolve(text, kind)
        self.leases.take(entry.object)
        if not self._recorded(entry):
            raise UnknownReference(f"{text!r} was collected just now; make it again")
        return entry

    def _recorded(self, entry: Entry) -> bool:
        """Whether an entry that was just leased is still there (see ``gc``)."""
        with explained("look for a record", self.records):
            return records.record_path(self.records, entry.recipe, entry.object).exists()

    def entry_of(self, digest: str) -> Entry | None:
        """The newest entry whose object has this digest."""
        return self._resolver.of_object(digest)

    def maker(self, digest: str, user: Entry) -> Entry | None:
        """The entry that gave the input ``digest`` of ``user``: the newest made before it."""
        return self._resolver.maker(digest, user)

    def lineage(self, roots: Iterable[Entry]) -> Lineage:
        """What the roots were made from, themselves included."""
        return lineage(roots, self.maker)

    # -- reasons ---------------------------------------------------------------------------

    def reasons(
        self, recipe: Recipe, *, forced: bool = False, accept: Accept | None = None
    ) -> Reason:
        """Why this recipe would run now: a tree of reasons; ``cached`` if it would not."""
        try:
            return explain(self, recipe, forced=forced, accept=accept)
        except (StoreError, OSError, sqlite3.Error) as error:
            # An explanation is a courtesy; it must never be what stops the work.
            return Reason("unknown", f"the reason could not be found ({error})")

    def history_of(self, stage: str, limit: int) -> Iterator[Entry]:
        """The newest entries of a stage, then the newest former ones."""
        yield from self.entries(stage=stage, limit=limit)
        yield from self._former("stage = ?", stage, limit)

    def known(self, digest: str) -> Entry | None:
        """The newest entry with this object, or the last former one."""
        return self.entry_of(digest) or next(self._former("object = ?", digest, 1), None)

    def gone(self, recipe: str) -> Gone | None:
        """The last former entry of a recipe digest."""
        return gone.newest(self.buried, recipe, self.objects)

    def _former(self, where: str, value: str, limit: int) -> Iterator[Entry]:
        for recipe, digest in self.index.former(where, [value], limit):
            with contextlib.suppress(OSError, VerificationError):
                yield gone.read(gone.path_of(self.buried, recipe, digest), self.objects).entry

    def entries(
        self, kind: str | None = None, stage: str | None = None, limit: int | None = None
    ) -> Iterator[Entry]:
        """Entries newest first; the content is not verified."""
        self.check_format()
        conditions, values = ["1"], []
        for column, wanted in (("kind", kind), ("stage", stage)):
            if wanted is not None:
                conditions.append(f"{column} = ?")
                values.append(wanted)
        for row in self.index.rows(" AND ".join(conditions), values, limit):
            entry = self._load(row.recipe, row.object)
            if entry is not None:
                yield entry

    def verify(self, entry: Entry) -> list[str]:
        """Hash every byte of an entry; what is wrong, one sentence each."""
        return damage(self.objects, entry.object, deep=True)

    # -- names -----------------------------------------------------------------------------

    def name(self, name: str, entry: Entry | None) -> None:
        """Let ``name`` mean ``entry`` from now on; None removes it (its history stays).

        Raises ``UnknownReference`` for an entry that was collected meanwhile.
        """
        self.prepare()
        # No collection runs meanwhile: it would have read the names already.
        with explained("write a name", self.root), self.adding():
            if entry is None:
                self.refs.append(name, Naming(time.time(), "", "", ""))
                return
            if not self._recorded(entry):
                raise UnknownReference(f"{entry.ref[:24]} was collected just now; make it again")
            self.refs.append(name, Naming(time.time(), entry.kind, entry.object, entry.recipe))

    def names(self) -> dict[str, str]:
        """name -> full reference, in order of name; damaged ones are left out with a warning."""
        found = {}
        for name in self.refs.names():
            try:
                naming = self.refs.current(name)
            except VerificationError as error:
                self._warn(f"{error}; `tratree store fsck --repair` restores it")
                continue
            if naming is not None:
                found[name] = naming.ref
        return found

    # -- writing ---------------------------------------------------------------------------

    def check_format(self) -> None:
        """Raise ``NewerStore`` if a newer program wrote this store."""
        check_format(self.root)

    def prepare(self) -> None:
        """Create the folders of the store."""
        with explained("create the store", self.root):
            for folder in (self.root, self.objects, self.records, self.tmp, self.locks):
                make_folder(folder, self.durable)
            if not check_format(self.root):
                data = canonical_json({"format": STORE_FORMAT}) + b"\n"
                write_atomic(self.root / FORMAT_FILE, data, self.tmp, self.durable)

    def share(self) -> None:
        """Let every member of the folder's group use and add to the store, whatever their umask.

        Raises ``StoreError`` for files of other users, whose owners must do the same, and for a
        group that is not this user's.
        """
        with explained("share the store", self.root):
            make_folder(self.root, self.durable)
            group = self.root.stat().st_gid
        if os.geteuid() != 0 and group not in {os.getegid(), *os.getgroups()}:
            raise StoreError(
                f"{self.root} belongs to group {group}, and you are not in it; give it to yours "
                "first (chgrp)"
            )
        self.prepare()
        with explained("share the store", self.root):
            for name in ("gone", "incoming", "partial", "pending", "quarantine", "refs"):
                make_folder(self.root / name, self.durable)
            foreign = widen_all(self.root)
        if foreign:
            raise StoreError(
                f"{len(foreign)} files in {self.root} belong to other users (the first is "
                f"{foreign[0]}); their owners must run the same command"
            )

    @property
    def group(self) -> str:
        """The name (or number) of the group that the store's folder belongs to."""
        try:
            return self.root.group()
        except KeyError:
            return str(self.root.stat().st_gid)

    @contextmanager
    def build(
        self,
        recipe: Recipe,
        wait: float | None = None,
        on_wait: Callable[[Holder | None], None] | None = None,
        *,
        force: bool = False,
        accept: Accept | None = None,
    ) -> Iterator[Build]:
        """Hold the recipe's lock; make the artifact unless ``build.entry`` is there already.

        Args:
            wait: seconds to wait for another process that makes the same; None: for ever.
            on_wait: called once with the holder of the lock, to tell who is waited for.
            force: make it again although it exists.
            accept: says, by a sentence, why an existing entry will not do; "" if it will.

        Raises ``LockTimeout``; ``StoreError`` for a full disk, a read-only folder and the like.
        """
        self.prepare()
        inputs = input_digests(recipe.document)
        needs = [digest for digests in inputs.values() for digest in digests]
        lock = Lock(self.locks / f"{recipe.digest}.lock", needs=needs)
        with explained("lock a recipe", self.locks):
            lock.acquire(wait, on_wait)
        try:
            point("build.locked")
            build = Build(self, recipe)
            build.entry = None if force else self.find(recipe, accept)
            if build.entry is None:
                self._tell_of(lock.foreign, "is named in the lock of this recipe, which was free")
                build.open(forced=force, accept=accept, alone=lock.foreign is None)
            try:
                yield build
            finally:
                build.close()
                self._tell_of(lock.taken_by(), "took the lock of this recipe, which is held here")
        finally:
            lock.release()

    def _tell_of(self, other: Holder | None, what: str) -> None:
        """Warn of a process on another host that a lock did not keep out."""
        if other is not None:
            self._warn(
                f"{other} {what}: it died, or locks do not reach across hosts on this file "
                f"system; if it lives, set {LOCKS_VARIABLE}=files on every host"
            )

    def partial(self, key: Mapping[str, JSON]) -> Path:
        """A folder that survives kills, shared by every recipe that names the same key.

        For finished shards and checkpoints; what lies there is the caller's own affair (write it
        atomically). Collected by ``gc`` when nothing in it changed for a while.
        """
        self.prepare()
        data = canonical_json(key, where="partial key")
        folder = self.root / "partial" / sha256(data)
        with explained("create a partial folder", self.root), self.adding():
            self.leases.take(f"partial:{folder.name}")
            make_folder(folder, self.durable)
            description = folder.with_suffix(".json")
            if not description.exists():
                write_atomic(description, data + b"\n", self.tmp, self.durable)
        return folder

    def take_in(self, work: Path, manifest: Manifest) -> None:
        """Move a folder with ``files/`` to its place; inside ``adding``, before its record."""
        broken = place(work, self.objects, manifest, durable=self.durable)
        if broken is not None:
            make_folder(self.quarantine, self.durable)
            with contextlib.suppress(OSError):
                broken.rename(self.quarantine / broken.name)

    def reindex(self, on_progress: Callable[[int], None] | None = None) -> int:
        """Rebuild the index from the records on disk; returns how many there are."""
        self.prepare()
        with explained("rebuild the index", self.root), self.adding():
            return self.index.rebuild(on_progress)

    @contextmanager
    def adding(self) -> Iterator[None]:
        """While objects and records are added together: garbage collection waits."""
        with locked(self.locks / "gc.lock", shared=True):
            yield

    def record(self, entry: Entry) -> Entry:
        """Write an entry's record and its index row; inside ``adding``, after its object."""
        if not folder_of(self.objects, entry.object).is_dir():
            raise StoreError(f"object {entry.object[:12]} was collected meanwhile; run again")
        path = records.record_path(self.records, entry.recipe, entry.object)
        mark = self.index.announce(entry.recipe, entry.object)
        if self.durable:
            sync_folder(mark.parent)
        point("record.pending")
        data, label = records.encode(entry), f"build-{entry.recipe}"
        write_atomic(path, data, self.tmp, self.durable, label=label, fault="record")
        self.index.add([entry])
        mark.unlink(missing_ok=True)
        point("record.done")
        return records.read(path, self.objects)
