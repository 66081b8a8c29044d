"""Raw product records to clean products, by the original's rules.

Cleaning keeps every accident that a page, the search or a reward can show (double blanks from a
slash, duplicate option values, blank bullets), and counts what it dropped instead of hiding it.
Texts that many products share (categories, attributes, option values) are kept once.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any

from tratree_cli.errors import InputError

PLACEHOLDER_ATTRIBUTE = "DUMMY_ATTR"
"""What a product without an attribute list has; it takes part in the reward's comparison."""

NO_PRICE = 100.0
"""The price of a product whose record has none."""


@dataclass(frozen=True, slots=True)
class Product:
    """One product as pages, search and reward see it.

    ``prices`` holds one price or the two ends of a range, ``options`` the groups in page order
    (names and values in lower case, duplicates kept).
    """

    asin: str
    title: str
    description: str
    bullets: tuple[str, ...]
    price_tag: str
    prices: tuple[float, ...]
    options: tuple[tuple[str, tuple[str, ...]], ...]
    category: str
    query: str
    product_category: str
    attributes: tuple[str, ...]
    instruction: str | None = None
    instruction_attributes: tuple[str, ...] = ()


class FieldError(ValueError):
    """A field that is missing or of the wrong type; the message names it."""


@dataclass
class Dropped:
    """How many records the loader left out, by reason."""

    records: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def count(self, reason: str) -> None:
        self.records += 1
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


def clean_products(
    records: Iterable[Mapping[str, Any]],
    attributes: Mapping[str, Mapping[str, Any]],
    source: str = "the product records",
) -> tuple[list[Product], Dropped]:
    """Clean records in file order; ``attributes`` is the content of the attribute file.

    Raises InputError for a record that is no product (not an object, no ``asin``, a field of the
    wrong type), naming its position in ``source``.
    """
    products: list[Product] = []
    dropped = Dropped()
    seen: set[str] = set()
    for position, record in enumerate(records):
        asin = record.get("asin") if isinstance(record, Mapping) else None
        if not isinstance(asin, str):
            raise InputError(
                f"{source}: record {position} has no text field 'asin'; remove it or restore it"
            )
        if asin == "nan" or len(asin) > 10:
            dropped.count("asin is not one")
            continue
        if asin in seen:
            dropped.count("asin seen before")
            continue
        seen.add(asin)
        try:
            products.append(_clean(asin, record, attributes.get(asin)))
        except FieldError as error:
            raise InputError(
                f"{source}: record {position} (asin {asin}) is not in WebShop's schema: {error}"
            ) from error
    return products, dropped


def _clean(asin: str, record: Mapping[str, Any], labels: Any) -> Product:
    prices = _prices(record.get("pricing"))
    bullets = record.get("small_description") or []
    labels = {} if labels is None else labels
    if not isinstance(labels, Mapping):
        raise FieldError("its entry in the attribute file is not an object")
    known = labels.get("attributes")
    instruction = labels.get("instruction")
    if not isinstance(instruction, str | None):
        raise FieldError("'instruction' in the attribute file is not a text")
    return Product(
        asin=asin,
        title=_text(record, "name"),
        description=_text(record, "full_description"),
        bullets=(bullets,) if isinstance(bullets, str) else texts(bullets, "small_description"),
        price_tag=_price_tag(prices),
        prices=prices[:2],
        options=_options(record.get("customization_options")),
        category=intern(_text(record, "category")),
        query=intern(_text(record, "query").lower().strip()),
        product_category=intern(_text(record, "product_category")),
        attributes=(PLACEHOLDER_ATTRIBUTE,)
        if known is None
        else tuple(map(intern, texts(known, "attributes"))),
        instruction=instruction,
        instruction_attributes=texts(
            labels.get("instruction_attributes") or (), "instruction_attributes"
        ),
    )


def _text(record: Mapping[str, Any], key: str) -> str:
    if key not in record:
        raise FieldError(f"'{key}' is missing")
    value = record[key]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise FieldError(f"'{key}' is not a text")
    return value


def texts(values: Any, what: str) -> tuple[str, ...]:
    """A list of texts as a tuple; ``FieldError`` for anything else, a single text included."""
    if not isinstance(values, (list, tuple)) or not all(isinstance(v, str) for v in values):
        raise FieldError(f"'{what}' is not a list of texts")
    return tuple(values)


def _prices(pricing: Any) -> tuple[float, ...]:
    """Every price in the text, or the price of things without one."""
    if not pricing:
        return (NO_PRICE,)
    if not isinstance(pricing, str):
        raise FieldError("'pricing' is not a text")
    # Thousands separators and whatever stands between two prices are neither digit nor dot.
    pieces = [re.sub(r"[^\d.]", "", piece) for piece in pricing.split("$")[1:]]
    try:
        prices = tuple(map(float, pieces))
    except ValueError:
        raise FieldError(f"'pricing' has no number after a $ in '{pricing[:40]}'") from None
    if not all(map(math.isfinite, prices)):
        raise FieldError(f"'pricing' has an endless number in '{pricing[:40]}'")
    return prices or (NO_PRICE,)


def _price_tag(prices: tuple[float, ...]) -> str:
    return f"${prices[0]}" if len(prices) == 1 else f"${prices[0]} to ${prices[1]}"


def _options(customization: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not customization:
        return ()
    if not isinstance(customization, Mapping):
        raise FieldError("'customization_options' is neither empty nor an object")
    groups: dict[str, tuple[str, ...]] = {}
    for name, contents in customization.items():
        if contents is None:
            continue
        if not isinstance(contents, list):
            raise FieldError(f"'customization_options' has no list of values for '{name}'")
        groups[intern(name.lower())] = tuple(_value(content, name) for content in contents)
    return tuple(groups.items())


def _value(content: Any, group: str) -> str:
    value = content.get("value") if isinstance(content, Mapping) else None
    if not isinstance(value, str):
        raise FieldError(f"'customization_options' has an entry of '{group}' without a text value")
    return intern(value.strip().replace("/", " | ").lower())


def effective_prices(products: Iterable[Product], rng: random.Random) -> dict[str, float]:
    """The price that the reward compares, by asin; a range is drawn from uniformly.

    The original draws from the global generator in product order, before any goal's price bound;
    so ``random.Random(s)`` handed here and then to the goal builder reproduces ``random.seed(s)``.
    """
    return {
        product.asin: product.prices[0]
        if len(product.prices) == 1
        else rng.uniform(product.prices[0], product.prices[1])
        for product in products
    }
