"""BM25 search with Lucene's arithmetic, over compressed sparse rows of numpy arrays.

Every posting keeps the finished fraction ``tf / (tf + norm(length))`` as float32 rather than the
counts it comes from: four bytes a posting, and a query is a few multiply-adds. Documents are
numbered in the order of their asin, so that a stable sort by score settles ties as the original
does. Lucene's float32 steps are followed one by one: a term's weight is rounded, each product is
rounded, the sum is kept in float64 and rounded once.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tratree_cli.envs.webshop.analyzer import Analyzer
from tratree_cli.envs.webshop.products import Product

K1 = 0.9
B = 0.4
EXACT_LENGTHS = 24
"""Document lengths below this are kept exactly, longer ones to four significant bits."""

OnProgress = Callable[[int, int], None]


def search_text(product: Product) -> str:
    """What is indexed of a product: title, description, first bullet and options, lower case."""
    options = ", and ".join(f"{name}: {', '.join(values)}" for name, values in product.options)
    bullet = product.bullets[0] if product.bullets else ""
    return " ".join((product.title, product.description, bullet, options)).lower()


def quantised_length(length: int) -> int:
    """A document length as one byte of the index stores it."""
    if length < EXACT_LENGTHS:
        return length
    rest = length - EXACT_LENGTHS
    shift = max(rest.bit_length() - 4, 0)
    return EXACT_LENGTHS + (rest >> shift << shift)


@dataclass(frozen=True)
class Postings:
    """The arrays of an index. ``starts`` has one entry per term and one more at the end;
    ``documents`` [P] int32 and ``fractions`` [P] float32 hold the postings, ``weights`` [T] float32
    the inverse document frequencies, ``order`` [N] int32 the catalogue position of document n.
    """

    starts: NDArray[np.int64]
    documents: NDArray[np.int32]
    fractions: NDArray[np.float32]
    weights: NDArray[np.float32]
    order: NDArray[np.int32]


class SearchIndex:
    """Ranked retrieval over a catalogue. Shared by all episodes; a search changes nothing."""

    def __init__(self, terms: Sequence[str], postings: Postings, analyzer: Analyzer | None = None):
        self.terms = terms
        self.postings = postings
        self._rows = {term: row for row, term in enumerate(terms)}
        # A view whose items are Python integers, which slice faster than numpy's.
        self._starts = postings.starts.data
        self._analyzer = analyzer or Analyzer()

    @classmethod
    def build(cls, products: Sequence[Product], progress: OnProgress | None = None) -> SearchIndex:
        """Analyse and index the products (about a quarter of a millisecond each)."""
        analyzer = Analyzer()
        order = sorted(range(len(products)), key=lambda position: products[position].asin)
        rows: dict[str, int] = {}
        # Arrays, not lists: at a million products these two hold a hundred million numbers.
        row_of, frequency = array("i"), array("i")
        lengths: list[int] = []
        per_document: list[int] = []
        for number, position in enumerate(order):
            counts = Counter(analyzer.terms(search_text(products[position])))
            row_of.extend(rows.setdefault(term, len(rows)) for term in counts)
            frequency.extend(counts.values())
            lengths.append(counts.total())
            per_document.append(len(counts))
            if progress is not None:
                progress(number + 1, len(order))
        postings = _postings(
            np.array(row_of, dtype=np.int32),
            np.repeat(np.arange(len(order), dtype=np.int32), per_document),
            np.array(frequency, dtype=np.int32),
            np.array(lengths, dtype=np.int64),
            len(rows),
            np.array(order, dtype=np.int32),
        )
        return cls(list(rows), postings, analyzer)

    def search(self, query: str, limit: int = 50) -> list[int]:
        """Catalogue positions of at most ``limit`` products, best first, ties by asin."""
        return [position for position, _ in self.scored(query, limit)]

    def scored(self, query: str, limit: int = 50) -> list[tuple[int, float]]:
        """Like :meth:`search`, with the scores."""
        postings = self.postings
        documents, parts = [], []
        for term, repeats in Counter(self._analyzer.terms(query)).items():
            row = self._rows.get(term)
            if row is not None:
                start, end = self._starts[row], self._starts[row + 1]
                documents.append(postings.documents[start:end])
                weight = np.float32(repeats) * postings.weights[row]
                parts.append(weight * postings.fractions[start:end])
        if not documents:
            return []
        total = np.bincount(
            np.concatenate(documents), np.concatenate(parts), minlength=len(postings.order)
        )
        scores = total.astype(np.float32)
        hits = np.flatnonzero(scores)
        if len(hits) > limit:
            # Keep everything that ties with the last place; the sort below decides among them.
            threshold = np.partition(scores[hits], len(hits) - limit)[len(hits) - limit]
            hits = hits[scores[hits] >= threshold]
        best = hits[np.argsort(-scores[hits], kind="stable")[:limit]]
        return list(zip(postings.order[best].tolist(), scores[best].tolist(), strict=True))


def _postings(
    rows: NDArray[np.int32],
    documents: NDArray[np.int32],
    frequency: NDArray[np.int32],
    lengths: NDArray[np.int64],
    terms: int,
    order: NDArray[np.int32],
) -> Postings:
    """Sort the postings by term and turn counts into fractions and weights."""
    by_term = np.argsort(rows, kind="stable")
    documents = documents[by_term]
    document_frequency = np.bincount(rows, minlength=terms)
    starts = np.zeros(terms + 1, dtype=np.int64)
    np.cumsum(document_frequency, out=starts[1:])
    filled = int(np.count_nonzero(lengths))
    norms = _norms(lengths, np.float32(lengths.sum() / filled) if filled else np.float32(1))
    counted = frequency[by_term].astype(np.float64)
    fractions = (counted / (counted + norms[documents])).astype(np.float32)
    weights = [
        math.log(1 + (filled - count + 0.5) / (count + 0.5))
        for count in document_frequency.tolist()
    ]
    return Postings(starts, documents, fractions, np.array(weights, dtype=np.float32), order)


def _norms(lengths: NDArray[np.int64], average: np.float32) -> NDArray[np.float64]:
    """``k1 * (1 - b + b * length / average)`` per document, in float32 steps."""
    k1, b, unit = np.float32(K1), np.float32(B), np.float32(1)
    unique, places = np.unique(lengths, return_inverse=True)
    table = np.array(
        [
            k1 * ((unit - b) + b * np.float32(quantised_length(n)) / average)
            for n in unique.tolist()
        ],
        dtype=np.float32,
    )
    return table[places].astype(np.float64)
