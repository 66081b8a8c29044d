"""Products, their search index and their ready-made page texts: what all episodes share.

Page texts are made when first seen and kept (bounded), because an agent reads the same popular
products again and again; nothing here depends on an episode, so sharing cannot leak state.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tratree_cli.envs.webshop import pages
from tratree_cli.envs.webshop.products import Dropped, Product
from tratree_cli.envs.webshop.search import SearchIndex

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class ProductPages:
    """The parts of a product's pages that are the same in every episode."""

    row: str
    item: str
    buttons: Mapping[str, str | None]


class Inventory:
    """A catalogue ready for shopping. Thread-safe as far as reading goes."""

    def __init__(
        self,
        products: Sequence[Product],
        index: SearchIndex | None = None,
        dropped: Dropped | None = None,
        remembered_pages: int = 20_000,
        remembered_queries: int = 20_000,
    ) -> None:
        self.products = products
        self.index = index or SearchIndex.build(products)
        self.dropped = dropped or Dropped()
        self.position = {product.asin: i for i, product in enumerate(products)}
        self._pages: dict[int, ProductPages] = {}
        self._remembered_pages = remembered_pages
        self._hits: dict[tuple[str, int], tuple[int, ...]] = {}
        self._remembered_queries = remembered_queries

    def pages(self, position: int) -> ProductPages:
        """Page texts of the product at ``position``."""
        known = self._pages.get(position)
        if known is None:
            product = self.products[position]
            known = ProductPages(
                pages.result_row(product), pages.item_body(product), pages.item_buttons(product)
            )
            _remember(self._pages, position, known, self._remembered_pages)
        return known

    def find(self, query: str, hit_cap: int, seed: int = 0) -> tuple[int, ...]:
        """Positions of the products that a query finds, best first.

        A first word ``<q>`` or ``<c>`` selects by crawl query or category (not capped), ``<r>``
        draws products at random (seeded here, unseeded in the original); ``<a>`` and a ``<c>``
        without a name make the original crash and find nothing here.
        """
        terms = query.split(" ")
        operator, rest = terms[0], terms[1:]
        if operator == "<r>":
            count = min(hit_cap, len(self.products))
            return tuple(random.Random(seed).sample(range(len(self.products)), count))
        if operator == "<q>":
            wanted = " ".join(rest).strip()
            return tuple(i for i, p in enumerate(self.products) if p.query == wanted)
        if operator == "<c>":
            return tuple(
                i for i, p in enumerate(self.products) if rest and p.category == rest[0].strip()
            )
        if operator == "<a>":
            return ()
        key = (query, hit_cap)
        hits = self._hits.get(key)
        if hits is None:
            hits = tuple(self.index.search(query, hit_cap))
            _remember(self._hits, key, hits, self._remembered_queries)
        return hits


def _remember(memory: dict[_Key, _Value], key: _Key, value: _Value, limit: int) -> None:
    """Keep a value; a full memory is emptied, which costs less than keeping track of age."""
    if len(memory) >= limit:
        memory.clear()
    memory[key] = value
