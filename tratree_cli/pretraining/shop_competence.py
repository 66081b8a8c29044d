"""What a base model of the shop can do.

Copying an identifier, naming the item with a property, stating whether an option is on a page, and
choosing an action that is admissible. Two more measure what demonstrations need: which item
fits an instruction, and which options it wants.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from tratree_cli.envs.webshop.catalogue import forbidden_instructions
from tratree_cli.envs.webshop.catalogue_words import DEPARTMENTS
from tratree_cli.pretraining.cases import AbilityCase
from tratree_cli.pretraining.corpus import after_page
from tratree_cli.pretraining.shop import SEP, PageShop, ShopTask, item_page, read_aloud
from tratree_cli.pretraining.shop_corpus import page_around, random_asin, shown, values_aloud
from tratree_cli.pretraining.shop_episodes import play

CASES_PER_SHOP = 20


def shop_cases(count: int, seed: int) -> dict[str, list[AbilityCase]]:
    """``count`` cases of each ability, from catalogues of their own."""
    cases: dict[str, list[AbilityCase]] = {}
    for kind, write in CASES.items():
        rng = random.Random(f"{seed}/{kind}")
        cases[kind] = []
        for number in range(count):
            if number % CASES_PER_SHOP == 0:
                shop = PageShop(rng)
            cases[kind].append(write(rng, shop, shop.task(forbidden_instructions())))
    return cases


def _copy(rng: random.Random, shop: PageShop, task: ShopTask) -> AbilityCase:
    asin = random_asin(rng)
    return AbilityCase([(f"Copy: {asin}", "")], (asin,))


def _which_item(rng: random.Random, shop: PageShop, task: ShopTask) -> AbilityCase:
    items = page_around(rng, shop, task)
    finish = rng.choice(items).finish
    item = next(item for item in items if item.finish == finish)
    question = f"Question: which item is {item.finish}?"
    right = f"{item.asin} {item.finish}"
    return AbilityCase(after_page(shown(rng, task, items), [(question, "")]), (right,))


def _option_here(rng: random.Random, shop: PageShop, task: ShopTask) -> AbilityCase:
    group, values = rng.choice(list(task.item.options.items()))
    probe = rng.choice(values if rng.random() < 0.5 else task.item.department.options[group])
    page = item_page(task.instruction, task.item)
    question = f"Question: is {group} {probe} here?"
    return AbilityCase(after_page(page, [(question, "")]), (values_aloud(values, probe),))


def _admissible(rng: random.Random, shop: PageShop, task: ShopTask) -> AbilityCase:
    turns = play(rng, shop, task)
    turns = turns[: rng.randint(1, len(turns))]
    segments = turns[-1][0].removeprefix("Observation:\n").split(SEP)
    if segments[-1] == "Search":
        return AbilityCase(turns, ("search",), actions=True)
    # Group names and prices are offered as segments too, but a click on them has no effect.
    idle = {group for d in DEPARTMENTS for group in d.options} | {task.instruction, "Rating: N.A."}
    names = [s for s in segments if s not in idle and not s.startswith(("$", "Price:", "Page "))]
    if "Next >" in segments:
        titles = set(segments[segments.index("Next >") + 1 :][1::3])
    else:
        titles = {segments[segments.index("Rating: N.A.") - 2]}
    return AbilityCase(turns, tuple(f"click[{n}]" for n in names if n not in titles), actions=True)


def _fits(rng: random.Random, shop: PageShop, task: ShopTask) -> AbilityCase:
    items = page_around(rng, shop, task)
    right = read_aloud(items, lambda item: item.finish == task.item.finish)
    page = shown(rng, task, items)
    return AbilityCase(after_page(page, [("Question: which item fits?", "")]), (right,))


def _options_wanted(rng: random.Random, shop: PageShop, task: ShopTask) -> AbilityCase:
    page = item_page(task.instruction, task.item)
    wanted = ", ".join(task.request.options.values())
    return AbilityCase(after_page(page, [("Question: which options are wanted?", "")]), (wanted,))


CASES: Mapping[str, Callable[[random.Random, PageShop, ShopTask], AbilityCase]] = {
    "copy": _copy,
    "which-item": _which_item,
    "option-here": _option_here,
    "admissible": _admissible,
    "fits": _fits,
    "options-wanted": _options_wanted,
}
