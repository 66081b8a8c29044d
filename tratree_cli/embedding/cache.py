"""Embedding vectors kept between runs, by model digest and the sha256 of a text.

A batch is one ``.npz`` file (numbers only, nothing is unpickled) under a name that follows from
its keys; files appear whole or not at all, so several processes may share the folder. A file that
cannot be read is ignored: its texts are embedded again.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from tratree_cli.trees.columns import FloatArray


class VectorCache:
    """The vectors of one model in ``folder / digest``."""

    def __init__(self, folder: Path, digest: str) -> None:
        self.folder = folder / digest
        self._places: dict[str, tuple[Path, int]] = {}
        self._scanned: set[str] = set()

    def read(self, keys: Iterable[str]) -> dict[str, FloatArray]:
        """The vectors of those keys that are known."""
        self._scan()
        wanted: dict[Path, list[tuple[str, int]]] = {}
        for key in keys:
            if key in self._places:
                path, row = self._places[key]
                wanted.setdefault(path, []).append((key, row))
        known: dict[str, FloatArray] = {}
        for path, rows in wanted.items():
            try:
                with np.load(path, allow_pickle=False) as batch:
                    vectors = batch["vectors"]
                    known.update((key, vectors[row]) for key, row in rows)
            except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile):
                continue
        return known

    def write(self, vectors: Mapping[str, FloatArray]) -> None:
        """Keep a batch of vectors (one dimension for all)."""
        if not vectors:
            return
        keys = list(vectors)
        name = hashlib.sha256("".join(keys).encode()).hexdigest()[:32] + ".npz"
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self.folder / f"{name}.{os.getpid()}.tmp"
        with scratch.open("wb") as file:
            np.savez(
                file, keys=np.array(keys, dtype="S64"), vectors=np.stack(list(vectors.values()))
            )
        scratch.replace(self.folder / name)

    def _scan(self) -> None:
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob("*.npz")):
            if path.name in self._scanned:
                continue
            self._scanned.add(path.name)
            try:
                with np.load(path, allow_pickle=False) as batch:
                    for row, key in enumerate(batch["keys"].astype(str).tolist()):
                        self._places[key] = (path, row)
            except (OSError, ValueError, KeyError, zipfile.BadZipFile):
                continue
