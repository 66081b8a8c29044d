"""Generated text: what a base model has read before it ever sees a demonstration.

Every document is a conversation in the agent's own chat format. Questions teach to copy, to read a
list up to a given word, to match a page with an instruction; random play teaches the form of
``Thought``/``Action`` turns and that actions name what the page offers. No document shows
good play: which item to click is drawn at random, and right answers are given to questions
only, never as actions. That is the line between a base model and a demonstration.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from tratree_cli.envs.webshop.catalogue import SYLLABLES, Item, forbidden_instructions
from tratree_cli.envs.webshop.catalogue_words import DEPARTMENTS
from tratree_cli.pretraining.corpus import (
    DOCUMENTS_PER_BLOCK,
    Corpus,
    Document,
    Mixture,
    Turns,
    after_page,
)
from tratree_cli.pretraining.shop import (
    FURNITURE,
    PAGE_SIZE,
    PIECES,
    SEP,
    PageShop,
    ShopTask,
    item_page,
    price_tag,
    read_aloud,
    results_page,
    wanted,
)
from tratree_cli.pretraining.shop_episodes import OBSERVATION, play, roam

QUESTIONS = 5
LOOKUPS = 2

CURRICULUM: tuple[tuple[float, Mixture], ...] = (
    (0.15, {"copy": 0.4, "until": 0.2, "lookup": 0.2, "play": 0.2}),
    (0.40, {"copy": 0.05, "until": 0.3, "lookup": 0.35, "option": 0.1, "match": 0.1, "play": 0.1}),
    (0.75, {"copy": 0.02, "until": 0.3, "lookup": 0.25, "option": 0.1, "match": 0.2, "play": 0.13}),
    (1.00, {"copy": 0.02, "until": 0.1, "lookup": 0.2, "option": 0.2, "match": 0.3, "play": 0.18}),
)
"""Up to which share of all tokens each mixture of document kinds lasts: copy, look up, match."""

FURTHER: Mixture = {
    "match": 0.4,
    "option": 0.3,
    "lookup": 0.1,
    "until": 0.07,
    "copy": 0.05,
    "roam": 0.08,
}
"""What a model grown from a smaller one reads: mostly matching. Play that reads aloud up to an item
chosen by a die is a habit against which demonstrations then work: roaming takes its place."""


def block(
    seed: int,
    number: int,
    mixture: Mixture,
    size: int = DOCUMENTS_PER_BLOCK,
) -> list[Document]:
    """Block ``number`` of the endless stream: a fresh catalogue and documents about it.

    The instructions of the evaluation tasks do not occur.
    """
    forbidden = forbidden_instructions()
    rng = random.Random(f"{seed}/{number}")
    shop = PageShop(rng)
    kinds = rng.choices(list(mixture), list(mixture.values()), k=size)
    return [Document(kind, WRITERS[kind](rng, shop, shop.task(forbidden))) for kind in kinds]


def copy(rng: random.Random, shop: PageShop, task: ShopTask) -> Turns:
    """Write down what was read: identifiers, titles, prices, values."""
    turns: Turns = []
    for _ in range(rng.randint(2, 5)):
        items = rng.sample(shop.items, rng.randint(1, 3))
        fields = [rng.choice((item.asin, random_asin(rng), item.title)) for item in items]
        if rng.random() < 0.3:
            fields.append(price_tag(rng.choice(items)))
        text = SEP.join(fields)
        turns.append((f"Copy: {text}", text))
    return turns


def random_asin(rng: random.Random) -> str:
    return "".join(["B0", *(rng.choice(SYLLABLES) for _ in range(3))])


def page_around(rng: random.Random, shop: PageShop, task: ShopTask) -> list[Item]:
    """The requested item among neighbours, none of which has all the words of the request."""
    target = task.item
    named = set(task.request.attributes) & set(target.title.split())
    near = [i for i in shop.by_noun[target.noun] if i is not target]
    family = [i for i in near if i.material == target.material]
    rng.shuffle(near)
    rng.shuffle(family)
    pool = (family + near) if rng.random() < 0.7 else near
    others: list[Item] = []
    for item in pool:
        visible = set(item.title.split())
        if len(others) < PAGE_SIZE - 1 and item not in others and not named <= visible:
            others.append(item)
    items = [*others, target]
    rng.shuffle(items)
    return items


def shown(rng: random.Random, task: ShopTask, items: list[Item]) -> str:
    page = rng.choice((1, 1, 1, 2))
    text = results_page(task.instruction, items, page, rng.randint(4, 50))
    return OBSERVATION + text if rng.random() < 0.8 else text


def until(rng: random.Random, shop: PageShop, task: ShopTask) -> Turns:
    """Practice for thoughts that list a page: repeat a list up to a given word."""
    turns: Turns = []
    for _ in range(rng.randint(2, 4)):
        department = rng.choice(DEPARTMENTS)
        finishes = rng.sample(sorted(department.finishes), rng.randint(2, 5))
        wanted_word = (
            rng.choice(finishes) if rng.random() < 0.85 else rng.choice(department.materials)
        )
        keys = [random_asin(rng) + " " if rng.random() < 0.5 else "" for _ in finishes]
        stop = finishes.index(wanted_word) if wanted_word in finishes else len(finishes)
        repeated = [key + word for key, word in zip(keys, finishes, strict=True)][: stop + 1]
        listed = SEP.join(
            (key.strip() + SEP if key else "") + w for key, w in zip(keys, finishes, strict=True)
        )
        answer = ", ".join(repeated if wanted_word in finishes else [*repeated, "none"])
        turns.append((f"Until {wanted_word}: {listed}", answer))
    return turns


def lookup(rng: random.Random, shop: PageShop, task: ShopTask) -> Turns:
    """Questions that a results page alone answers."""
    if rng.random() < 0.7:
        items = page_around(rng, shop, task)
    else:
        items = rng.sample(shop.items, PAGE_SIZE)
    turns: Turns = []
    for _ in range(LOOKUPS):
        item = rng.choice(items)
        draw = rng.random()
        if draw < 0.8:
            turns.append((f"Question: which item is {item.finish}?", _first(item.finish, items)))
        elif draw < 0.9:
            turns.append((f"Question: what is {item.asin}?", item.title))
        else:
            turns.append((f"Question: price of {item.asin}?", price_tag(item)))
    return after_page(shown(rng, task, items), turns)


def _first(finish: str, items: Sequence[Item]) -> str:
    return read_aloud(items, lambda item: item.finish == finish)


def match(rng: random.Random, shop: PageShop, task: ShopTask) -> Turns:
    """Questions that need the page and the instruction together."""
    items = page_around(rng, shop, task)
    if rng.random() < 0.15:
        items = [item for item in items if item is not task.item]
    candidate = rng.choice(items)
    affordable = "yes" if candidate.price <= task.bound else "no"
    turns: Turns = [
        ("Question: which item fits?", _first(task.item.finish, items)),
        ("Question: what is wanted?", wanted(task)),
        (f"Question: is {price_tag(candidate)} low enough?", affordable),
    ]
    rng.shuffle(turns)
    return after_page(shown(rng, task, items), turns)


def option(rng: random.Random, shop: PageShop, task: ShopTask) -> Turns:
    """Questions about an item page: what can be chosen, and what the instruction chooses."""
    item = task.item
    if rng.random() < 0.2:
        item = rng.choice(shop.by_noun[item.noun])
    offered = [value for values in item.options.values() for value in values]
    chosen = [value for value in task.request.options.values() if value in offered]
    turns: Turns = [("Question: which options are wanted?", ", ".join(chosen) or "none")]
    for group, values in item.options.items():
        value = task.request.options.get(group, "")
        turns.append((f"Question: which {group}?", value if value in values else "none"))
        every = item.department.options[group]
        probe = rng.choice(values) if rng.random() < 0.5 else rng.choice(every)
        turns.append((f"Question: is {group} {probe} here?", values_aloud(values, probe)))
    turns.append(("Question: what is this?", item.title))
    rng.shuffle(turns)
    page = item_page(task.instruction, item)
    return after_page(OBSERVATION + page if rng.random() < 0.8 else page, turns[:QUESTIONS])


def values_aloud(values: Sequence[str], probe: str) -> str:
    """What can be chosen, up to ``probe``; ``none`` at the end where it is not there.

    The same listing as of results: a bare yes or no stayed near chance.
    """
    if probe in values:
        return ", ".join(values[: values.index(probe) + 1])
    return ", ".join([*values, "none"])


WRITERS: Mapping[str, Callable[[random.Random, PageShop, ShopTask], Turns]] = {
    "copy": copy,
    "until": until,
    "lookup": lookup,
    "match": match,
    "option": option,
    "play": play,
    "roam": roam,
}


def sample() -> Iterator[Turns]:
    """What the tokenizer's merges are learned from."""
    rng = random.Random(7)
    for _ in range(12):
        shop = PageShop(rng)
        for _ in range(150):
            for kind in ("copy", "until", "lookup", "match", "option", "play"):
                yield WRITERS[kind](rng, shop, shop.task())


SHOP = Corpus("shop", block, CURRICULUM, FURTHER, sample, FURNITURE, PIECES, row=384)
