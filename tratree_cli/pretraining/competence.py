"""What a base model can do, measured on items it has never seen.

Four abilities, each a share of right answers among freshly generated cases (another seed than
training): copying an identifier, saying which item has a property, saying whether an option is on
a page, and choosing an action that is admissible. Two more tell what demonstrations can build on:
which item fits an instruction, and which options it wants. Answers are greedy and free text.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tratree_cli.envs.webshop.catalogue import forbidden_instructions
from tratree_cli.envs.webshop.catalogue_words import DEPARTMENTS
from tratree_cli.pretraining.documents import (
    Turns,
    after_page,
    page_around,
    play,
    random_asin,
    read_aloud,
    shown,
    values_aloud,
)
from tratree_cli.pretraining.shop import SEP, Shop, Task, item_page

SEED = 990_001
ANSWER_TOKENS = 64
CASES_PER_SHOP = 20


@dataclass(frozen=True)
class Case:
    """A conversation whose last answer is to be given, and the right answers.

    Only the end of an answer is judged: a model may read the page aloud first. ``actions`` marks
    cases in which it is what follows ``Action: ``.
    """

    turns: Turns
    right: tuple[str, ...]
    actions: bool = False

    def judge(self, said: str) -> bool:
        if not self.actions:
            return said.strip().endswith(self.right)
        _, found, action = said.partition("Action: ")
        searches = action.startswith("search[") and len(action) > len("search[]")
        return bool(found) and (action in self.right or (searches and "search" in self.right))


def competence(model: Any, tokenizer: Any, cases: int = 200, seed: int = SEED) -> dict[str, float]:
    """Share of right answers per ability, in [0, 1]; ``cases`` of each kind."""
    result = {}
    for kind, write in CASES.items():
        rng = random.Random(f"{seed}/{kind}")
        asked = []
        for number in range(cases):
            if number % CASES_PER_SHOP == 0:
                shop = Shop(rng)
            asked.append(write(rng, shop, shop.task(forbidden_instructions())))
        said = answer(model, tokenizer, [case.turns for case in asked])
        result[kind] = sum(map(Case.judge, asked, said)) / cases
    return result


def answer(
    model: Any, tokenizer: Any, conversations: Sequence[Turns], batch: int = 50
) -> list[str]:
    """Greedy answers to the last user turn of each conversation (its own answer is ignored)."""
    import torch

    said: list[str] = []
    for start in range(0, len(conversations), batch):
        prompts = []
        for turns in conversations[start : start + batch]:
            messages = []
            for user, agent in turns:
                messages.append({"role": "user", "content": user})
                messages.append({"role": "assistant", "content": agent})
            prompts.append(
                tokenizer.apply_chat_template(
                    messages[:-1], add_generation_prompt=True, tokenize=False
                )
            )
        inputs = tokenizer(
            prompts,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=False,
        ).to(model.device)
        with torch.no_grad():
            output = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=ANSWER_TOKENS,
                do_sample=False,
            )
        new = output[:, inputs["input_ids"].shape[1] :]
        said += tokenizer.batch_decode(new, skip_special_tokens=True)
    return said


def _copy(rng: random.Random, shop: Shop, task: Task) -> Case:
    asin = random_asin(rng)
    return Case([(f"Copy: {asin}", "")], (asin,))


def _which_item(rng: random.Random, shop: Shop, task: Task) -> Case:
    items = page_around(rng, shop, task)
    finish = rng.choice(items).finish
    item = next(item for item in items if item.finish == finish)
    question = f"Question: which item is {item.finish}?"
    right = f"{item.asin} {item.finish}"
    return Case(after_page(shown(rng, task, items), [(question, "")]), (right,))


def _option_here(rng: random.Random, shop: Shop, task: Task) -> Case:
    group, values = rng.choice(list(task.item.options.items()))
    probe = rng.choice(values if rng.random() < 0.5 else task.item.department.options[group])
    page = item_page(task.instruction, task.item)
    question = f"Question: is {group} {probe} here?"
    return Case(after_page(page, [(question, "")]), (values_aloud(values, probe),))


def _admissible(rng: random.Random, shop: Shop, task: Task) -> Case:
    turns = play(rng, shop, task)
    turns = turns[: rng.randint(1, len(turns))]
    segments = turns[-1][0].removeprefix("Observation:\n").split(SEP)
    if segments[-1] == "Search":
        return Case(turns, ("search",), actions=True)
    # Group names and prices are offered as segments too, but a click on them has no effect.
    idle = {group for d in DEPARTMENTS for group in d.options} | {task.instruction, "Rating: N.A."}
    names = [s for s in segments if s not in idle and not s.startswith(("$", "Price:", "Page "))]
    if "Next >" in segments:
        titles = set(segments[segments.index("Next >") + 1 :][1::3])
    else:
        titles = {segments[segments.index("Rating: N.A.") - 2]}
    return Case(turns, tuple(f"click[{n}]" for n in names if n not in titles), actions=True)


def _fits(rng: random.Random, shop: Shop, task: Task) -> Case:
    items = page_around(rng, shop, task)
    right = read_aloud(items, lambda item: item.finish == task.item.finish)
    page = shown(rng, task, items)
    return Case(after_page(page, [("Question: which item fits?", "")]), (right,))


def _options_wanted(rng: random.Random, shop: Shop, task: Task) -> Case:
    page = item_page(task.instruction, task.item)
    wanted = ", ".join(task.request.options.values())
    return Case(after_page(page, [("Question: which options are wanted?", "")]), (wanted,))


CASES: Mapping[str, Callable[[random.Random, Shop, Task], Case]] = {
    "copy": _copy,
    "which-item": _which_item,
    "option-here": _option_here,
    "admissible": _admissible,
    "fits": _fits,
    "options-wanted": _options_wanted,
}
