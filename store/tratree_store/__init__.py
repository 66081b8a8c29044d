"""A content-addressed store of artifacts: what was made, from what, and why.

    store = Store(Path(".tratree"))
    recipe = Recipe("build-tree", 1, "tree", {"seed": 0}, {"rollouts": rollouts.object})
    with store.build(recipe) as build:
        if build.entry is None:
            (build.path / "tree.json").write_text(...)
            build.publish(summary={"nodes": 12})
    print(build.entry.ref)

Importing this package costs milliseconds: SQLite, fsspec and sqlite-utils come when needed.
"""

from __future__ import annotations

from tratree_store.building import Build
from tratree_store.entries import Entry
from tratree_store.errors import (
    AmbiguousReference,
    HostileArchive,
    KeyValueError,
    LockTimeout,
    NewerStore,
    StoreError,
    UnknownReference,
    VerificationError,
)
from tratree_store.holders import Holder
from tratree_store.keys import JSON, Recipe, canonical_json
from tratree_store.store import Store

__all__ = [
    "JSON",
    "AmbiguousReference",
    "Build",
    "Entry",
    "Holder",
    "HostileArchive",
    "KeyValueError",
    "LockTimeout",
    "NewerStore",
    "Recipe",
    "Store",
    "StoreError",
    "UnknownReference",
    "VerificationError",
    "canonical_json",
]
