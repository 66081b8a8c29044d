"""The similarity function that ``trees`` calls: texts by number in, unit vectors out.

The model loads when the first text really has to be embedded: not in a deterministic environment,
where only equal strings merge, and not when all vectors are cached. Texts longer than a
model's window are embedded in chunks and averaged, because cutting them off would make two pages
that differ only at their end the same page.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tratree_cli.embedding.cache import VectorCache
from tratree_cli.errors import InputError, StageError
from tratree_cli.trees.columns import FloatArray, IntArray

OFFLINE = "offline"
_OFFLINE_IDENTITY = b"hashed words and pairs, 2048 dimensions, version 1"
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class TextSimilarity:
    """Vectors of texts by number, each computed once; ``warnings`` is for people to read.

    ``computed`` texts went through the model, ``cached`` came from the cache, ``chunked`` were
    longer than the model's window. ``guard`` classifies texts by the numbers in them.
    """

    def __init__(
        self,
        texts: Sequence[str],
        model: str = OFFLINE,
        cache: Path | None = None,
        batch_size: int = 64,
        progress: Callable[[int, int], None] | None = None,
        loader: Callable[[str], Any] | None = None,
    ) -> None:
        self._texts = texts
        self._model = model
        self._batch_size = batch_size
        self._progress = progress
        self._load = loader or load_embedder
        self._cache = VectorCache(cache, model_digest(model)) if cache is not None else None
        self._embedder: Any = None
        self._classes: dict[tuple[str, ...], int] = {}
        self.computed = 0
        self.cached = 0
        self.chunked = 0
        self.warnings: list[str] = []

    def __call__(self, numbers: IntArray) -> FloatArray:
        """Unit vectors ``[n, d]`` (float32) of the texts with these numbers."""
        texts = [self._texts[number] for number in numbers.tolist()]
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts]
        known = self._cache.read(keys) if self._cache is not None else {}
        missing = [place for place, key in enumerate(keys) if key not in known]
        if missing:
            vectors = self._embed([texts[place] for place in missing])
            fresh = {keys[place]: vector for place, vector in zip(missing, vectors, strict=True)}
            if self._cache is not None:
                self._cache.write(fresh)
            known = {**known, **fresh}
        self.computed += len(missing)
        self.cached += len(keys) - len(missing)
        return np.stack([known[key] for key in keys])

    def guard(self, numbers: IntArray) -> IntArray:
        """Classes ``[n]``: texts with the same numbers in them, in whatever order, share one."""
        classes = [
            self._classes.setdefault(numbers_in(self._texts[number]), len(self._classes))
            for number in numbers.tolist()
        ]
        return np.array(classes, dtype=np.int64)

    def _embed(self, texts: list[str]) -> FloatArray:
        if self._embedder is None:
            self._embedder = self._load(self._model)
        chunks, owner = self._chunks(texts)
        parts = []
        for start in range(0, len(chunks), self._batch_size):
            batch = chunks[start : start + self._batch_size]
            parts.append(
                np.asarray(
                    self._embedder.encode(
                        batch, batch_size=self._batch_size, show_progress_bar=False
                    ),
                    dtype=np.float32,
                )
            )
            if self._progress is not None:
                self._progress(min(start + self._batch_size, len(chunks)), len(chunks))
        vectors = _unit(np.concatenate(parts))
        sums = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
        np.add.at(sums, owner, vectors)
        return _unit(sums)

    def _chunks(self, texts: list[str]) -> tuple[list[str], IntArray]:
        """Pieces that fit the model's window, and which text each belongs to."""
        chunks: list[str] = []
        owner: list[int] = []
        long = 0
        for place, text in enumerate(texts):
            pieces = split_to_window(text, self._embedder)
            long += len(pieces) > 1
            chunks.extend(pieces)
            owner.extend([place] * len(pieces))
        if long and not self.chunked:
            self.warnings.append(
                f"texts longer than the window of '{self._model}' are embedded in chunks; their "
                "similarity is that of the chunks' means"
            )
        self.chunked += long
        return chunks, np.array(owner, dtype=np.int64)


def numbers_in(text: str) -> tuple[str, ...]:
    """The numbers of a text in sorted order: prices, counts, degrees, places."""
    return tuple(sorted(_NUMBER.findall(text)))


def split_to_window(text: str, embedder: Any) -> list[str]:
    """The text in pieces that fit the embedder's window (all of it, without a window).

    Pieces are whole words; a word that is longer than the window, as any sentence is in a language
    that writes no spaces, is cut.
    """
    window = getattr(embedder, "max_seq_length", None)
    tokenizer = getattr(embedder, "tokenizer", None)
    if not window or tokenizer is None or not hasattr(tokenizer, "tokenize"):
        return [text]
    room = window - 2  # the model's own opening and closing tokens
    if len(text.encode("utf-8", "surrogatepass")) <= room:
        return [text]  # a token is at least one byte

    def fitting(word: str) -> Iterator[tuple[str, int]]:
        cost = len(tokenizer.tokenize(word))
        if cost <= room or len(word) == 1:
            yield word, cost
        else:
            yield from fitting(word[: len(word) // 2])
            yield from fitting(word[len(word) // 2 :])

    pieces: list[str] = []
    current: list[str] = []
    used = 0
    for word, cost in chain.from_iterable(map(fitting, re.findall(r"\S+\s*", text))):
        if current and used + cost > room:
            pieces.append("".join(current))
            current, used = [], 0
        current.append(word)
        used += cost
    if current:
        pieces.append("".join(current))
    return pieces or [text]


def load_embedder(model: str) -> Any:
    """The sentence-transformers model: ``offline``, a folder, or a name on the hub."""
    if model == OFFLINE:
        from tratree_cli.embedding.offline import offline_embedder

        return offline_embedder()
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(
            model, trust_remote_code=False, model_kwargs={"use_safetensors": True}
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StageError(
            f"the embedder '{model}' cannot be loaded ({reason}); name a sentence-transformers "
            f"model or folder, or use '{OFFLINE}'"
        ) from error


def model_digest(model: str) -> str:
    """What a cached vector depends on besides its text: sha256 of the embedder's identity.

    A folder is known by its files; the offline model by its version; a name by the revision in
    the local hub cache, or by itself as long as it was never fetched.
    """
    if model == OFFLINE:
        return hashlib.sha256(_OFFLINE_IDENTITY).hexdigest()
    folder = Path(model)
    digest = hashlib.sha256()
    if folder.is_dir():
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()
    if not model.strip():
        raise InputError("the embedder has no name; use 'offline' or a sentence-transformers model")
    digest.update(model.encode() + b"@" + _revision(model).encode())
    return digest.hexdigest()


def _revision(model: str) -> str:
    from huggingface_hub import try_to_load_from_cache

    for name in (model, f"sentence-transformers/{model}"):
        try:
            cached = try_to_load_from_cache(name, "config.json")
        except ValueError:
            continue
        if isinstance(cached, str):
            return Path(cached).parent.name
    return "unknown"


def _unit(vectors: FloatArray) -> FloatArray:
    """Rows of length one; a row of zeros (an empty text) stays as it is."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: FloatArray = vectors / np.where(norms > 0, norms, 1.0)
    return result
