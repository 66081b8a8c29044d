"""The embedded catalogue: a shop in the original file schema, made from a seed.

The idea is a shop whose pages a model of half a million parameters can read and which still needs
reading. Products come in *families* (same noun and material, ``wool coat``) whose members differ in
one word of the title (the *finish*: ``quilted``), price and options. The search engine finds the
family but, because each member's description mentions the others' finishes in another grammatical
form, not the member; so the first hit is worth something, the right one more, and the right
options more again. The trade-off is realism: titles are short, lower-case and regular.

Some instructions do not name the material, and several fitting products differ in what only their
own pages show; that keeps an expert who sees only pages below a perfect score.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tratree_cli.envs.webshop.catalogue_words import DEPARTMENTS, Department

SEED = 20260
SPLITS = {"train": 600, "dev": 200, "test": 520}
GOALS_PER_PRODUCT = 2
SHUFFLE_SEED = 233
"""The original shuffles its goals with this seed; split indices count in that order."""

FAMILY_SIZES = (3, 4, 4, 4, 5)
SYLLABLES = tuple(c + v for c in "BDFGHKLMNPRSTVZ" for v in "AEIOU")
KINDS = ("full", "full", "full", "full", "finish", "finish", "feature")

OPENINGS = (
    "i am looking for {}",
    "i need {}",
    "find me {}",
    "show me {}",
    "i want to buy {}",
    "get me {}",
    "please find {}",
    "i would like {}",
    "looking for {}",
    "help me find {}",
    "i want {}",
    "can you find {}",
)
FEATURE_PHRASES = (" that is {}", " with {}", ", {}")
OPTION_PHRASES = (
    " in {value}",
    " with {group} {value}",
    ", {group} {value}",
    " in {group} {value}",
)


@dataclass(frozen=True)
class EmbeddedCatalogue:
    """What the original reads from three files, and which final goal indices each split has.

    ``products`` is the list of raw records (``items_shuffle.json``), ``attributes`` the mapping of
    ``items_ins_v2.json``, ``human`` that of ``items_human_ins.json``. ``splits`` holds positions in
    the goal list *after* the shuffle with seed 233; no product has goals in two splits.
    """

    products: list[dict[str, Any]]
    attributes: dict[str, dict[str, Any]]
    human: dict[str, list[dict[str, Any]]]
    splits: dict[str, list[int]]


@dataclass(frozen=True)
class Item:
    """A product before it becomes a raw record."""

    asin: str
    department: Department
    noun: str
    material: str
    finish: str
    family: tuple[str, ...]
    features: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    price: int

    @property
    def title(self) -> str:
        return f"{self.finish} {self.material} {self.noun}"

    def attributes(self) -> list[str]:
        return [self.finish, self.material, *self.features]


@dataclass(frozen=True)
class GoalRequest:
    """A human goal before it becomes a record: text (without price) and what is asked for."""

    text: str
    attributes: tuple[str, ...]
    options: dict[str, str]


@lru_cache(maxsize=1)
def embedded() -> EmbeddedCatalogue:
    """The shipped catalogue: 660 products, 600 train, 200 dev and 520 test goals."""
    rng = random.Random(SEED)
    items = make_items(rng)
    rng.shuffle(items)
    requests = _distinct_requests(rng, items)
    return EmbeddedCatalogue(
        products=[_product(item) for item in items],
        attributes={item.asin: {"attributes": item.attributes()} for item in items},
        human={
            item.asin: [_human(item, request) for request in item_requests]
            for item, item_requests in zip(items, requests, strict=True)
        },
        splits=_splits([item.asin for item in items]),
    )


def make_items(rng: random.Random, asins: Collection[str] = ()) -> list[Item]:
    """One catalogue's items, by family: every noun in five materials, 3 to 5 finishes each."""
    taken = set(asins)
    items: list[Item] = []
    for department in DEPARTMENTS:
        for noun in department.nouns:
            materials = rng.sample(department.materials, len(FAMILY_SIZES))
            sizes = rng.sample(FAMILY_SIZES, len(FAMILY_SIZES))
            for material, size in zip(materials, sizes, strict=True):
                items += _family(rng, department, noun, material, size, taken)
    return items


def _family(
    rng: random.Random, department: Department, noun: str, material: str, size: int, taken: set[str]
) -> Iterator[Item]:
    family = tuple(rng.sample(sorted(department.finishes), size))
    for finish in family:
        choices = department.options
        groups = [group for group in choices if rng.random() < 0.85] or list(choices)[:1]
        yield Item(
            asin=_asin(rng, taken),
            department=department,
            noun=noun,
            material=material,
            finish=finish,
            family=family,
            features=tuple(rng.sample(department.features, rng.choice((1, 2)))),
            options={
                group: tuple(rng.sample(choices[group], rng.choice((2, 3, 3)))) for group in groups
            },
            price=rng.randrange(5, 96),
        )


def _asin(rng: random.Random, taken: set[str]) -> str:
    """An identifier of four common syllables: short to write, and copied by induction."""
    while True:
        asin = "".join(["B0", *(rng.choice(SYLLABLES) for _ in range(3))])
        if asin not in taken:
            taken.add(asin)
            return asin


def request_for(rng: random.Random, item: Item) -> GoalRequest:
    """A request that ``item`` fulfils: the properties named, and its wording."""
    kind = rng.choice(KINDS)
    named = {
        "full": (item.finish, item.material),
        "finish": (item.finish,),
        "feature": (item.finish, item.material),
    }[kind]
    features = (rng.choice(item.features),) if kind == "feature" else ()
    groups = list(item.options)
    wanted = sorted(rng.sample(groups, rng.randint(1, len(groups))), key=groups.index)
    options = {group: rng.choice(item.options[group]) for group in wanted}
    phrase = _article(" ".join([*named, item.noun]), item)
    text = rng.choice(OPENINGS).format(phrase)
    for feature in features:
        text += rng.choice(FEATURE_PHRASES).format(feature)
    for group, value in options.items():
        text += rng.choice(OPTION_PHRASES).format(group=group, value=value)
    return GoalRequest(text, (*named, *features), options)


def _article(phrase: str, item: Item) -> str:
    if item.noun in item.department.plural:
        return f"some {phrase}"
    return f"an {phrase}" if phrase[0] in "aeio" else f"a {phrase}"


def _distinct_requests(rng: random.Random, items: Sequence[Item]) -> list[list[GoalRequest]]:
    """Goals for every item; no instruction occurs twice in the whole catalogue."""
    seen: set[str] = set()
    result = []
    for item in items:
        item_requests: list[GoalRequest] = []
        while len(item_requests) < GOALS_PER_PRODUCT:
            request = request_for(rng, item)
            if request.text not in seen:
                seen.add(request.text)
                item_requests.append(request)
        result.append(item_requests)
    return result


def _splits(asins: Sequence[str]) -> dict[str, list[int]]:
    """Final goal indices by split; products are dealt to the splits in catalogue order."""
    owner: dict[str, str] = {}
    rest = iter(asins)
    for split, goals in SPLITS.items():
        for _ in range(goals // GOALS_PER_PRODUCT):
            owner[next(rest)] = split
    order = [asin for asin in asins for _ in range(GOALS_PER_PRODUCT)]
    # Python's shuffle depends on the length only, so this is the permutation the engine applies.
    random.Random(SHUFFLE_SEED).shuffle(order)
    return {
        split: [index for index, asin in enumerate(order) if owner.get(asin) == split]
        for split in SPLITS
    }


def _product(item: Item) -> dict[str, Any]:
    others = [item.department.finishes[finish] for finish in item.family if finish != item.finish]
    return {
        "asin": item.asin,
        "name": item.title,
        "full_description": f"Sister pieces come with {', '.join(others)}.",
        "small_description": [
            f"For every day in {item.department.name}.",
            *(f"This one is {feature}." for feature in item.features),
        ],
        "pricing": f"${item.price}.00",
        "images": ["https://example.invalid/none.jpg"],
        "product_category": f"{item.department.path} › {item.noun.capitalize()}",
        "query": f"{item.material} {item.noun}",
        "category": item.department.name,
        "customization_options": {
            group: [{"value": value, "image": None} for value in values]
            for group, values in item.options.items()
        },
        "average_rating": "",
    }


def _human(item: Item, request: GoalRequest) -> dict[str, Any]:
    return {
        "asin": item.asin,
        "instruction": request.text,
        "attributes": item.attributes(),
        "options": [f"{group}: {value}" for group, value in request.options.items()],
        "instruction_attributes": list(request.attributes),
        "instruction_options": list(request.options.values()),
        "assignment_id": "",
        "worker_id": "",
    }


def forbidden_instructions(splits: Collection[str] = ("dev", "test")) -> frozenset[str]:
    """Instruction texts (without price) that must stay out of pretraining text."""
    catalogue = embedded()
    order = [goal["instruction"] for goals in catalogue.human.values() for goal in goals]
    random.Random(SHUFFLE_SEED).shuffle(order)
    return frozenset(order[index] for split in splits for index in catalogue.splits[split])
