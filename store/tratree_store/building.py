"""An artifact in the making: a private folder, and the one rename that makes it public."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_store.atomic import unique
from tratree_store.entries import Entry
from tratree_store.errors import StoreError, explained
from tratree_store.faults import point
from tratree_store.keys import Recipe
from tratree_store.objects import FILES, folder_of, read_manifest, remove_folder, scan
from tratree_store.why import Accept, Reason

if TYPE_CHECKING:
    from tratree_store.store import Store


class Build:
    """One artifact in the making; made by ``Store.build``.

    Attributes:
        entry: the finished entry: found when the lock was taken, or published since.
        reason: why it has to be made.
        path: where to write the files (on the store's file system); gone after the block.
    """

    def __init__(self, store: Store, recipe: Recipe) -> None:
        self.recipe = recipe
        self.entry: Entry | None = None
        self.reason = Reason("cached", "cached")
        self._store = store
        self._work: Path | None = None
        self._opened = time.monotonic()

    @property
    def path(self) -> Path:
        """The folder to write into."""
        if self._work is None:
            raise StoreError("This artifact exists already; there is nothing to write.")
        return self._work / FILES

    def open(self, *, forced: bool = False, accept: Accept | None = None) -> None:
        """Create the working folder; what a dead process left for this recipe is removed."""
        self.reason = self._store.reasons(self.recipe, forced=forced, accept=accept)
        with explained("create a working folder", self._store.tmp):
            for leftover in self._store.tmp.glob(f"build-{self.recipe.digest}-*"):
                remove_folder(leftover)
            work = self._store.tmp / f"build-{self.recipe.digest}-{unique()}"
            (work / FILES).mkdir(parents=True)
        self._work = work
        point("build.folder")

    def close(self) -> None:
        """Remove the working folder, if it was not published."""
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
            manifest = scan(folder)
            point("publish.hashed")
            with store.adding():
                store.take_in(folder.parent, manifest)
                return self._finish(manifest.digest, manifest.size, summary, provenance, seconds)

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
