"""An artifact in the making: a private folder, and the one rename that makes it public."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from tratree_store.atomic import make_folder, unique
from tratree_store.entries import Entry
from tratree_store.errors import StoreError, explained
from tratree_store.faults import point
from tratree_store.keys import Recipe
from tratree_store.objects import FILES, Manifest, folder_of, read_manifest, remove_folder, scan
from tratree_store.why import Accept, Reason


class Publisher(Protocol):
    """What a build needs of its store."""

    @property
    def root(self) -> Path:
        """Folder of the store."""

    @property
    def tmp(self) -> Path:
        """Where working folders lie."""

    @property
    def objects(self) -> Path:
        """Where objects lie."""

    def reasons(
        self, recipe: Recipe, *, forced: bool = False, accept: Accept | None = None
    ) -> Reason:
        """Why the recipe would run."""

    def adding(self) -> AbstractContextManager[None]:
        """While objects and records are added together."""

    def take_in(self, work: Path, manifest: Manifest) -> None:
        """Move a finished folder to its place."""

    def record(self, entry: Entry) -> Entry:
        """Write the record of an object that is in its place."""


class Build:
    """One artifact in the making; made by ``Store.build``.

    Attributes:
        entry: the finished entry: found when the lock was taken, or published since.
        reason: why it has to be made.
        path: where to write the files (on the store's file system); gone after the block.
    """

    def __init__(self, store: Publisher, recipe: Recipe) -> None:
        self.recipe = recipe
        self.entry: Entry | None = None
        self.reason = Reason("cached", "cached")
        self._store = store
        self._work: Path | None = None
        #: The folder that was handed out, held open so that no other one can get its number.
        self._handle: int | None = None
        self._opened = time.monotonic()

    @property
    def path(self) -> Path:
        """The folder to write into."""
        if self._work is None:
            raise StoreError("this artifact exists already; there is nothing to write")
        return self._work / FILES

    def open(
        self, *, forced: bool = False, accept: Accept | None = None, alone: bool = True
    ) -> None:
        """Create the working folder; what a dead process left for this recipe is removed.

        Not if somebody may be at work there all the same (``alone`` is False).
        """
        self.reason = self._store.reasons(self.recipe, forced=forced, accept=accept)
        with explained("create a working folder", self._store.tmp):
            left = self._store.tmp.glob(f"build-{self.recipe.digest}-*") if alone else ()
            for leftover in left:
                remove_folder(leftover)
            work = self._store.tmp / f"build-{self.recipe.digest}-{unique()}"
            for folder in (work, work / FILES):
                make_folder(folder, durable=False)
            self._handle = os.open(work / FILES, os.O_RDONLY)
        self._work = work
        point("build.folder")

    def close(self) -> None:
        """Remove the working folder, if it was not published."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        if self._work is not None:
            remove_folder(self._work)
            self._work = None

    def publish(
        self,
        summary: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        seconds: float | None = None,
    ) -> Entry:
        """Make what lies under ``path`` the recipe's result; returns its entry.

        Raises ``StoreError`` for links, odd names, no files, a full disk; then nothing changed.
        """
        store = self._store
        folder = self.path
        with explained("publish an artifact", store.root):
            if not self._is_ours(folder):
                raise StoreError(
                    f"{folder} is not the folder that was handed out (somebody removed that one), "
                    "and nothing was published; run again"
                )
            manifest = scan(folder)
            point("publish.hashed")
            with store.adding():
                store.take_in(folder.parent, manifest)
                return self._finish(manifest.digest, manifest.size, summary, provenance, seconds)

    def _is_ours(self, folder: Path) -> bool:
        if self._handle is None:
            return False
        ours, there = os.fstat(self._handle), folder.stat()
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def adopt(
        self,
        entry: Entry,
        summary: Mapping[str, Any] | None = None,
        provenance: Mapping[str, Any] | None = None,
        seconds: float | None = None,
    ) -> Entry:
        """Let this recipe's result be the object of an existing entry."""
        with explained("adopt an artifact", self._store.root), self._store.adding():
            size = read_manifest(self._store.objects, entry.object).size
            return self._finish(
                entry.object,
                size,
                entry.summary if summary is None else summary,
                entry.provenance if provenance is None else provenance,
                seconds,
            )

    def _finish(
        self,
        digest: str,
        size: int,
        summary: Mapping[str, Any] | None,
        provenance: Mapping[str, Any] | None,
        seconds: float | None,
    ) -> Entry:
        document = self.recipe.document
        entry = Entry(
            kind=self.recipe.kind,
            object=digest,
            recipe=self.recipe.digest,
            document=document,
            path=folder_of(self._store.objects, digest) / FILES,
            summary=dict(summary or {}),
            provenance=dict(provenance or {}),
            created=round(time.time(), 3),
            seconds=round(time.monotonic() - self._opened if seconds is None else seconds, 3),
            size=size,
            stage=self.recipe.stage,
            reason=self.reason.as_json(),
        )
        self.entry = self._store.record(entry)
        self.close()
        return self.entry
