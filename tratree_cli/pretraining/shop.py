"""Shop pages for pretraining text, written without the engine.

Pretraining needs hundreds of thousands of pages over catalogues that are made and thrown away, so
pages are put together from ``Item`` objects directly; a test holds them to the engine's wording.
Search is imitated (items with most of the query's words, ties at random): what a page looks like
matters here, not which products a real index would rank first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tratree_cli.envs.webshop.catalogue import GoalRequest, Item, make_items, request_for

SEP = " [SEP] "
PAGE_SIZE = 4


FURNITURE = (
    "Observation:\n",
    "WebShop [SEP] Instruction: [SEP] ",
    "Instruction: [SEP] ",
    " [SEP] ",
    " [SEP] Search",
    " [SEP] Back to Search [SEP] Page ",
    " (Total results: ",
    ") [SEP] Next >",
    ") [SEP] < Prev [SEP] Next >",
    " [SEP] Back to Search [SEP] < Prev",
    " [SEP] Price: ",
    " [SEP] Rating: N.A. [SEP] Description [SEP] Features [SEP] Reviews [SEP] Buy Now",
    ", and price lower than ",
    " dollars",
    "Thought: ",
    "\nAction: ",
    "Action: ",
    "search[",
    "click[",
    "]",
    "Buy Now",
    "Next >",
    "< Prev",
    "Back to Search",
    "\nQuestion: ",
    "Question: ",
)

PIECES = (
    r" (?=\$?\d|[A-Z][A-Z0-9]{5})"  # numbers and identifiers look the same after a blank
    r"|[A-Z][A-Z0-9](?=[A-Z0-9]|\b)"  # identifiers, two characters at a time
    r"|\$?\d+\.\d{1,2}(?!\d)"  # prices
    r"|\d{1,3}(?:\p{Ll}{1,2}\b)?"
    r"| ?\p{L}+"
    r"| ?[^\s\p{L}\d]+"
    r"|\s+"
)
"""How text is cut before merges; nothing is dropped, so decoding is exact."""


@dataclass(frozen=True)
class ShopTask:
    """A request, the item it was made for, and the words in front of the price."""

    item: Item
    request: GoalRequest
    bound: int

    @property
    def instruction(self) -> str:
        return f"{self.request.text}, and price lower than {self.bound:.2f} dollars"


class PageShop:
    """A temporary catalogue, with the pages an agent would see in it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.items = make_items(rng)
        self.by_noun: dict[str, list[Item]] = {}
        for item in self.items:
            self.by_noun.setdefault(item.noun, []).append(item)

    def task(self, forbidden: frozenset[str] = frozenset()) -> ShopTask:
        """A fresh request whose text is none of ``forbidden`` (the evaluation tasks)."""
        while True:
            item = self.rng.choice(self.items)
            request = request_for(self.rng, item)
            if request.text not in forbidden:
                break
        above = [10 * k for k in range(1, 100) if 10 * k > item.price][:4]
        return ShopTask(item, request, max(self.rng.sample(above, 2)))

    def search(self, query: Sequence[str]) -> list[Item]:
        """Items with any of the words, most words first, ties at random."""
        scored = []
        for item in self.items:
            item_words = {*item.title.split(), *(w for vs in item.options.values() for w in vs)}
            hits = sum(word in item_words for word in query)
            if hits:
                scored.append((-hits, self.rng.random(), item))
        return [item for _, _, item in sorted(scored, key=lambda entry: entry[:2])][:50]


def start_page(instruction: str) -> str:
    return f"WebShop{SEP}Instruction:{SEP}{instruction}{SEP}Search"


def results_page(instruction: str, items: Sequence[Item], page: int, total: int) -> str:
    parts = [_header(instruction), f"Page {page} (Total results: {total})"]
    if page > 1:
        parts.append("< Prev")
    parts.append("Next >")
    for item in items:
        parts += [item.asin, item.title, price_tag(item)]
    return SEP.join(parts)


def item_page(instruction: str, item: Item) -> str:
    parts = [_header(instruction), "< Prev"]
    for group, values in item.options.items():
        parts += [group, *values]
    parts += [item.title, f"Price: {price_tag(item)}", "Rating: N.A."]
    parts += ["Description", "Features", "Reviews", "Buy Now"]
    return SEP.join(parts)


def price_tag(item: Item) -> str:
    return f"${float(item.price)}"


def _header(instruction: str) -> str:
    return f"Instruction:{SEP}{instruction}{SEP}Back to Search"


def read_aloud(items: Sequence[Item], fits: Callable[[Item], bool]) -> str:
    """Offers in page order (identifier and first word), up to the first that fits.

    Looking back from a title to its identifier is what models of this size do not learn in ten
    million tokens. Read forward, every step is a copy, and whether to stop is a match of the word
    just written with the word of the question.
    """
    lines = []
    for item in items:
        lines.append(f"{item.asin} {item.finish}")
        if fits(item):
            return ", ".join(lines)
    return ", ".join([*lines, "none"])


def wanted(task: ShopTask) -> str:
    """The words of the title that the instruction names."""
    named = [w for w in task.item.title.split() if w in task.request.attributes]
    return " ".join([*named, task.item.noun])
