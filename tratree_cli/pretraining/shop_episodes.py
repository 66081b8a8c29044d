"""Random play in a temporary shop: the form of an episode without good decisions."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tratree_cli.envs.webshop.catalogue import Item
from tratree_cli.pretraining.corpus import Turns, act
from tratree_cli.pretraining.shop import (
    PAGE_SIZE,
    PageShop,
    ShopTask,
    item_page,
    read_aloud,
    results_page,
    start_page,
    wanted,
)

OBSERVATION = "Observation:\n"


def play(rng: random.Random, shop: PageShop, task: ShopTask) -> Turns:
    """An episode in which every decision is drawn at random; thoughts name the click."""
    return _episode(rng, shop, task, read_aloud)


def roam(rng: random.Random, shop: PageShop, task: ShopTask) -> Turns:
    """The same without listing the results: a click on one of them is a look at it, no more."""
    return _episode(rng, shop, task, lambda offered, chosen: "look")


def _episode(
    rng: random.Random,
    shop: PageShop,
    task: ShopTask,
    thought_of: Callable[[Sequence[Item], Callable[[Item], bool]], str],
) -> Turns:
    """Random clicks; ``thought_of`` words the thought about a page of offers."""
    instruction = task.instruction
    turns: Turns = [(start_page(instruction), "")]
    results: list[Item] = []
    number = 1
    current: Item | None = None
    for _ in range(rng.randint(3, 5)):
        page = turns[-1][0]
        if page.endswith("Search"):
            terms = wanted(task).split()
            query = [word for word in terms if rng.random() < 0.6] or terms[-1:]
            thought, action = "search", f"search[{' '.join(query)}]"
            results, number, current = shop.search(query), 1, None
        elif current is None:
            offered = results[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
            if offered and rng.random() < 0.8:
                current = rng.choice(offered)
                thought = thought_of(offered, _being(current))
                action = f"click[{current.asin}]"
            elif rng.random() < 0.7 or number == 1:
                number += 1
                thought, action = thought_of(offered, lambda _: False), "click[Next >]"
            else:
                number -= 1
                thought, action = "back", "click[< Prev]"
        else:
            choices = [(g, v) for g, values in current.options.items() for v in values]
            if rng.random() < 0.75:
                group, value = rng.choice(choices)
                thought, action = f"{group} {value}", f"click[{value}]"
            elif rng.random() < 0.5:
                current, thought, action = None, "back", "click[< Prev]"
            else:
                turns[-1] = (page, act("done", "click[Buy Now]"))
                return turns
        turns[-1] = (page, act(thought, action))
        if current is not None:
            text = item_page(instruction, current)
        else:
            offered = results[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
            text = results_page(instruction, offered, number, len(results))
        turns.append((OBSERVATION + text, ""))
    return turns[:-1]


def _being(chosen: Item) -> Callable[[Item], bool]:
    return lambda item: item is chosen
