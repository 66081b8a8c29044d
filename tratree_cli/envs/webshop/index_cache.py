"""The search index on disk, keyed by the digest of the data: built once, memory-mapped afterwards.

One ``.npy`` file per array, so that a large index is paged in as queries need it and shared by the
processes that read it. The folder is made elsewhere and renamed, so a reader never sees half of
one; anything unreadable is rebuilt, since it is only a cache.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import orjson

from tratree_cli.envs.webshop.products import Product
from tratree_cli.envs.webshop.search import OnProgress, Postings, SearchIndex

FORMAT = 1
"""Raised when the analyser, the arithmetic or the arrays change."""

ARRAYS = tuple(field.name for field in dataclasses.fields(Postings))


def cache_folder(folder: str | Path | None = None) -> Path:
    """The given folder, else ``$TRATREE_CACHE``, else ``~/.cache/tratree``."""
    if folder is not None:
        return Path(folder)
    return Path(os.environ.get("TRATREE_CACHE") or Path.home() / ".cache" / "tratree")


def products_digest(products: Iterable[Product]) -> str:
    """sha256 of the cleaned products: equal for files that differ only in unused fields."""
    state = sha256(b"webshop products 1\n")
    for product in products:
        state.update(orjson.dumps(product))
        state.update(b"\n")
    return state.hexdigest()


def cached_index(
    products: Sequence[Product], digest: str, folder: Path, progress: OnProgress | None = None
) -> SearchIndex:
    """The index of these products, from ``folder`` if it is there, else built and left there."""
    place = folder / "webshop" / f"{digest[:32]}-{FORMAT}"
    try:
        return _read(place, len(products))
    except (OSError, ValueError, KeyError):
        index = SearchIndex.build(products, progress)
        _write(index, place)
        return index


def _read(place: Path, documents: int) -> SearchIndex:
    terms = orjson.loads((place / "terms.json").read_bytes())
    arrays = {name: np.load(place / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    postings = Postings(**arrays)
    consistent = (
        len(postings.order) == documents
        and len(postings.starts) == len(terms) + 1 == len(postings.weights) + 1
        and len(postings.documents) == len(postings.fractions) == int(postings.starts[-1])
    )
    if not consistent:
        raise ValueError(f"{place} does not fit the catalogue")
    return SearchIndex(terms, postings)


def _write(index: SearchIndex, place: Path) -> None:
    """Best effort: a cache that cannot be written costs time, not results."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".making-", dir=place.parent))
    except OSError:
        return
    try:
        (made / "terms.json").write_bytes(orjson.dumps(list(index.terms)))
        for name in ARRAYS:
            np.save(made / f"{name}.npy", getattr(index.postings, name))
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
