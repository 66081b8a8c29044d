"""How good a purchase is: type, attributes, options and price, as the original scores them.

``reward = r_type * (attributes + options + price) / (n_attributes + n_options + 1)``, evaluated in
that order so that the last bit agrees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz import fuzz
from rapidfuzz.utils import default_process

from tratree_cli.envs.webshop.goals import Goal
from tratree_cli.envs.webshop.products import Product

SAME = 85
"""Two phrases are the same when their similarity is greater than this."""

# The order decides which colour of "dark blue" wins.
_COLOURS_IN_ORDER = """
    alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown
    burgundy camel camo caramel champagne charcoal cheetah chestnut chocolate christmas coffee
    cognac copper coral cranberry cream crystal dark denim eggplant elephant espresso fuchsia
    gold granite grape graphite grass gray green grey heather indigo ivory ivy khaki lavender
    lemon leopard light lilac lime magenta maroon mauve merlot midnight mint mocha multicolor
    mushroom mustard natural navy nude olive orange peach pewter pink plum purple rainbow red
    rose royal rust sand sapphire seashell silver skull slate steel stone stonewash sunflower
    tan taupe teal tiger turquoise violet walnut wheat white wine yellow
"""
COLOURS = tuple(_COLOURS_IN_ORDER.split())
_NO_LATIN_1 = dict.fromkeys(range(128, 256))


@dataclass(frozen=True, slots=True)
class Score:
    """A purchase's reward and every component (``None`` where the goal has no options)."""

    reward: float
    r_type: float
    query_match: bool
    category_match: bool
    title_score: float
    attribute_matches: int
    r_attributes: float
    w_attributes: float
    option_matches: int
    r_options: float | None
    w_options: float | None
    r_price: bool
    w_price: float


def score_purchase(
    product: Product,
    goal: Goal,
    price: float,
    options: Mapping[str, str],
    product_nouns: Sequence[str],
    goal_nouns: Sequence[str],
) -> Score:
    """Score buying ``product`` at its effective ``price`` with the chosen ``options``."""
    query_match = product.query == goal.query
    category_match = len(_categories(product) & _categories(goal)) >= 2
    title_score = _title_score(product_nouns, goal_nouns)
    r_type = _type_reward(query_match or category_match, title_score)
    attributes = _attribute_matches(product, goal.attributes)
    chosen = _option_matches(tuple(options.values()), goal.options)
    affordable = price <= goal.price_upper
    parts = len(goal.attributes) + len(goal.options) + 1
    # Divide first, then multiply: the other order differs in the last bit.
    reward = (attributes + chosen + affordable) / parts * r_type
    return Score(
        reward=reward,
        r_type=r_type,
        query_match=query_match,
        category_match=category_match,
        title_score=title_score,
        attribute_matches=attributes,
        r_attributes=attributes / len(goal.attributes) if goal.attributes else 0.0,
        w_attributes=len(goal.attributes) / parts,
        option_matches=chosen,
        r_options=chosen / len(goal.options) if goal.options else None,
        w_options=len(goal.options) / parts if goal.options else None,
        r_price=affordable,
        w_price=1 / parts,
    )


def _categories(thing: Product | Goal) -> set[str]:
    return {part.strip() for part in thing.product_category.split("›")}


def _title_score(product_nouns: Sequence[str], goal_nouns: Sequence[str]) -> float:
    """Shared nouns over the goal's nouns, duplicates counted below only, as in the original."""
    if not goal_nouns:
        return 0.2
    return len(set(product_nouns) & set(goal_nouns)) / len(goal_nouns)


def _type_reward(same_kind: bool, title_score: float) -> float:
    if title_score == 0:
        return 0.0
    if title_score < 0.1:
        return 0.1
    return 1.0 if same_kind or title_score > 0.2 else 0.5


def _attribute_matches(product: Product, wanted: Sequence[str]) -> int:
    texts: tuple[str, ...] = ()
    matches = 0
    for attribute in wanted:
        if any(token_set_ratio(known, attribute) > SAME for known in product.attributes):
            matches += 1
            continue
        texts = texts or (
            product.title.lower(),
            " ".join(product.bullets).lower(),
            product.description.lower(),
        )
        matches += any(attribute in text for text in texts)
    return matches


def _option_matches(
    chosen: Sequence[str], wanted: tuple[str, ...] | tuple[tuple[str, str], ...]
) -> int:
    values = [_colour_of(value) for value in chosen]
    return sum(
        any(token_set_ratio(value, target) > SAME for value in values)
        for target in map(_colour_of, wanted)
    )


@lru_cache(maxsize=65536)
def _colour_of(option: str | tuple[str, str]) -> str:
    """The first colour inside a value, else the value itself.

    For the pair of a synthetic goal a colour must equal the name or the value; a pair without one
    is compared in its printed form, as the original (by accident) does.
    """
    for colour in COLOURS:
        if colour in option:
            return colour
    return option if isinstance(option, str) else str(option)


@lru_cache(maxsize=65536)
def token_set_ratio(first: str, second: str) -> int:
    """Similarity of two phrases' word sets, 0 to 100, after the original's clean-up."""
    a, b = _cleaned(first), _cleaned(second)
    return round(fuzz.token_set_ratio(a, b)) if a and b else 0


@lru_cache(maxsize=65536)
def _cleaned(text: str) -> str:
    return default_process(text.translate(_NO_LATIN_1))
