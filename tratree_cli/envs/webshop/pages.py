"""The text of every page, as the original's HTML reads once its tags are gone.

A page is a list of text nodes joined by `` [SEP] ``. Nodes are trimmed; an empty one leaves no
trace, one of blanks only leaves an empty segment, and one of blanks with a line break leaves none
(that is what the original's HTML parser made of them).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tratree_cli.envs.webshop.products import Product

SEPARATOR = " [SEP] "
BACK = "back to search"
PREVIOUS = "< prev"
NEXT = "next >"
BUY = "buy now"
SEARCH = "search"
OUT_OF_STOCK = "Out of stock"
"""Said of a product that a stochastic shop does not have (``stochastic``); ours."""
SUBPAGES = ("description", "features", "reviews")
_HTML_BLANKS = " \n\t\f\r"
_SCRIPT_SAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})


def segments(*nodes: str) -> str:
    """Text nodes as the original's parser leaves them, each with a separator in front."""
    kept = []
    for node in nodes:
        trimmed = node.strip()
        if trimmed or (node and not ("\n" in node and not node.strip(_HTML_BLANKS))):
            kept.append(SEPARATOR + trimmed)
    return "".join(kept)


def search_page(instruction: str) -> str:
    return "WebShop" + segments("Instruction:", instruction, "Search")


def header(instruction: str) -> str:
    """How every page between the first and the last begins."""
    return "Instruction:" + segments(instruction, "Back to Search")


def results_head(page: int, total: int) -> str:
    previous = segments("< Prev") if page > 1 else ""
    return f"{SEPARATOR}Page {page} (Total results: {total}){previous}{SEPARATOR}Next >"


def result_row(product: Product) -> str:
    return segments(product.asin, product.title, product.price_tag)


def item_body(product: Product) -> str:
    """Everything below the header of an item page. It never shows what is selected."""
    nodes = ["< Prev"]
    for name, values in product.options:
        nodes += (name, *values)
    nodes += (product.title, f"Price: {product.price_tag}", "Rating: N.A.")
    return segments(*nodes, "Description", "Features", "Reviews", "Buy Now")


def subpage_body(product: Product, subpage: str) -> str:
    """Everything below the header of a sub-page; reviews were never loaded."""
    if subpage == "description":
        return segments("< Prev", product.description)
    if subpage == "features":
        # The template puts a blank before each bullet, so that even an empty one is a node.
        return segments("< Prev", *(f" {bullet}" for bullet in product.bullets))
    return segments("< Prev")


def done_page(asin: str, options: Mapping[str, str], reward: float) -> str:
    """The page after a purchase (the misspelling is the original's)."""
    chosen = json.dumps(dict(options), sort_keys=True).translate(_SCRIPT_SAFE)
    return SEPARATOR.join(
        (
            "Thank you for shopping with us!",
            "Your code:",
            "None",
            "(Paste it in your MTurk interface.)",
            "Purchased",
            *("asin", asin, "options", chosen, "attrs", "None", "category", "None"),
            *("query", "None", "product category", "None"),
            *("Target", "asin", "options", "attrs", "price upper", "instuction text"),
            *("category", "product category", "query", "Goal", "None"),
            *("Reward", "Your score (min 0.0, max 1.0)", repr(reward), "Reward Details", "None"),
        )
    )


def item_buttons(product: Product) -> dict[str, str | None]:
    """What can be clicked on an item page: key to option group (``None`` for a button).

    A key that comes twice keeps its first place and its last meaning.
    """
    keys: dict[str, str | None] = dict.fromkeys((BACK, PREVIOUS, *SUBPAGES, BUY))
    for name, values in product.options:
        keys.update(dict.fromkeys(values, name))
    return keys
