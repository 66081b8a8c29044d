"""What an episode asks for: goals from human instructions or made from attributes and options.

The order of the goals is the original's: built in product order, then shuffled with a fixed seed,
so that published task indices mean the same here. What the original leaves to an unseeded generator
(the price bound in the text) comes from a generator that the caller seeds.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tratree_cli.envs.webshop.products import FieldError, Product, texts
from tratree_cli.errors import InputError

SHUFFLE_SEED = 233
PRICE_STEPS = tuple(10.0 * step for step in range(1, 100))
NO_BOUND = 1_000_000.0
"""The bound of a goal whose product is too expensive to have one."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One task. ``options`` are values (human) or (name, value) pairs (synthetic)."""

    asin: str
    category: str
    query: str
    name: str
    product_category: str
    instruction: str
    attributes: tuple[str, ...]
    price_upper: float
    options: tuple[str, ...] | tuple[tuple[str, str], ...]
    weight: float = 1.0


def goal_from_record(record: Mapping[str, Any]) -> Goal:
    """A goal from a JSON object with the original's key names (for injecting ready-made goals)."""
    options = record["goal_options"]
    return Goal(
        asin=record["asin"],
        category=record.get("category", ""),
        query=record["query"],
        name=record["name"],
        product_category=record["product_category"],
        instruction=record["instruction_text"],
        attributes=tuple(record["attributes"]),
        price_upper=float(record["price_upper"]),
        options=tuple(options.items()) if isinstance(options, Mapping) else tuple(options),
        weight=float(record.get("weight", 1.0)),
    )


def human_goals(
    products: Iterable[Product],
    instructions: Mapping[str, Sequence[Mapping[str, Any]]],
    prices: Mapping[str, float],
    rng: random.Random,
) -> list[Goal]:
    """Goals from people's instructions, in final order; ``prices`` are the effective ones."""
    goals = []
    for product in products:
        for text, attributes, options in usable_requests(product.asin, instructions):
            upper, bound = _price_bound(prices[product.asin], rng)
            goals.append(_goal(product, text + bound, attributes, upper, options))
    return shuffled(goals)


def usable_requests(
    asin: str, instructions: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """(text, attributes, options) of a product's instructions that name at least one attribute."""
    items = instructions.get(asin, ())
    try:
        if not isinstance(items, (list, tuple)):
            raise FieldError("they are not a list")
        return [request for item in items if (request := _request(item)) is not None]
    except FieldError as error:
        raise InputError(
            f"the human instructions of product {asin} are not in WebShop's schema: {error}"
        ) from error


def _request(item: Any) -> tuple[str, tuple[str, ...], tuple[str, ...]] | None:
    """What one person asks for; None where no attribute is named."""
    if not isinstance(item, Mapping):
        raise FieldError("one is not an object")
    for key in ("instruction", "instruction_attributes", "instruction_options"):
        if key not in item:
            raise FieldError(f"'{key}' is missing")
    attributes = texts(item["instruction_attributes"], "instruction_attributes")
    if not attributes:
        return None
    if not isinstance(item["instruction"], str):
        raise FieldError("'instruction' is not a text")
    options = texts(item["instruction_options"], "instruction_options")
    return item["instruction"].strip("."), attributes, options


def synthetic_goals(
    products: Iterable[Product], prices: Mapping[str, float], rng: random.Random
) -> list[Goal]:
    """Goals from the attribute file's instructions and every combination of options."""
    goals = []
    for product in products:
        if product.instruction is None:
            continue
        upper, bound = _price_bound(prices[product.asin], rng)
        groups = sorted(product.options)
        names = [name for name, _ in groups]
        for values in itertools.product(*(values for _, values in groups)):
            options = tuple(zip(names, values, strict=True))
            chosen = ", and ".join(f"{name}: {value}" for name, value in options)
            text = product.instruction + (f" with {chosen}" if chosen else "") + bound
            goals.append(_goal(product, text, product.instruction_attributes, upper, options))
    return shuffled(_weighted(goals))


def shuffled(goals: list[Goal]) -> list[Goal]:
    """The goals in the order that published indices refer to."""
    random.Random(SHUFFLE_SEED).shuffle(goals)
    return goals


def _goal(
    product: Product,
    text: str,
    attributes: tuple[str, ...],
    upper: float,
    options: tuple[str, ...] | tuple[tuple[str, str], ...],
) -> Goal:
    return Goal(
        asin=product.asin,
        category=product.category,
        query=product.query,
        name=product.title,
        product_category=product.product_category,
        instruction=text,
        attributes=attributes,
        price_upper=upper,
        options=options,
    )


def _price_bound(price: float, rng: random.Random) -> tuple[float, str]:
    """The larger of two of the next four steps above the price, and its text."""
    candidates = [step for step in PRICE_STEPS if step > price][:4]
    if len(candidates) < 2:
        return NO_BOUND, ""
    upper = max(rng.sample(candidates, 2))
    return upper, f", and price lower than {upper:.2f} dollars"


def _weighted(goals: list[Goal]) -> list[Goal]:
    """Weigh each goal by the mean rarity of its attributes."""
    counts = Counter(attribute for goal in goals for attribute in goal.attributes)
    return [
        replace(goal, weight=sum(1 / counts[a] for a in goal.attributes) / len(goal.attributes))
        if goal.attributes
        else goal
        for goal in goals
    ]
