"""Self-made text: what is in it and, above all, what is not."""

from __future__ import annotations

import random

import pytest

from tratree_cli.envs.webshop import open_environment
from tratree_cli.envs.webshop.catalogue import embedded, forbidden_instructions
from tratree_cli.pretraining.shop import PageShop, item_page, results_page, start_page
from tratree_cli.pretraining.shop_corpus import CURRICULUM, FURTHER, SHOP, WRITERS, block


@pytest.fixture(scope="module")
def environment():
    return open_environment(page_size=4)


@pytest.fixture(scope="module")
def blocks():
    return [
        block(1, number, mixture, 150)
        for number, mixture in enumerate((*map(SHOP.mixture_at, (0.1, 0.4, 0.9, 1.0)), FURTHER))
    ]


def texts(blocks) -> str:
    return "\n".join(text for b in blocks for d in b for turn in d.turns for text in turn)


def test_no_evaluation_task_is_in_the_pretraining_text(blocks):
    text = texts(blocks)
    assert len(forbidden_instructions()) == 720
    for instruction in forbidden_instructions():
        assert f"{instruction}, and price" not in text


def test_a_forbidden_wish_is_wished_otherwise():
    shop = PageShop(random.Random(3))
    wishes = {PageShop(random.Random(3)).task().request.text for _ in range(1)}
    assert shop.task(frozenset(wishes)).request.text not in wishes


def test_no_product_of_the_catalogue_is_in_the_pretraining_text(blocks):
    # Identifiers are drawn from 420,000, so a sample of some thousands may share a few by accident.
    known = {product["asin"] for product in embedded().products}
    text = texts(blocks)
    assert sum(asin in text for asin in known) < 0.1 * len(known)


def test_random_play_is_no_demonstration(blocks):
    """A die that clicks the fitting item at the rate of chance cannot have been an expert."""
    fitting = clicked = 0
    shop = PageShop(random.Random(11))
    for _ in range(300):
        task = shop.task()
        turns = WRITERS["play"](random.Random(task.item.asin), shop, task)
        for page, said in turns:
            if task.item.asin in page and "Next >" in page and "click[B0" in said:
                clicked += 1
                fitting += said.endswith(f"click[{task.item.asin}]")
    assert clicked > 20
    assert fitting / clicked < 0.45


def test_the_same_block_has_the_same_text_and_another_one_has_not():
    mixture = SHOP.mixture_at(0.5)
    once = block(1, 7, mixture, 20)
    assert once == block(1, 7, mixture, 20)
    assert once != block(1, 8, mixture, 20)


def test_the_curriculum_goes_from_copying_over_looking_up_to_matching():
    assert [until for until, _ in CURRICULUM][-1] == 1.0
    mixtures = [mixture for _, mixture in CURRICULUM]
    first, last = mixtures[0], mixtures[-1]
    assert "match" not in first
    assert first["copy"] > last["copy"]
    matching = [mixture.get("match", 0.0) for mixture in mixtures]
    assert matching == sorted(matching)
    for mixture in mixtures:
        assert sum(mixture.values()) == pytest.approx(1.0)


def test_pages_are_worded_as_the_environment_words_them(environment):
    """Random play in the real shop gives the same pages as the written ones."""
    from tratree_cli.envs.webshop.catalogue import SEED, make_items

    items = {item.asin: item for item in make_items(random.Random(SEED))}
    rng = random.Random(2)
    for task in environment.splits()["train"][:30]:
        instruction = environment.instruction(task)
        episode = environment.episode(task)
        assert episode.reset() == start_page(instruction)
        words = instruction.split()
        page = episode.step(f"search[{' '.join(rng.sample(words[:8], 3))}]").observation
        for number in (1, 2):
            if number == 2:
                page = episode.step("click[Next >]").observation
            segments = page.split(" [SEP] ")
            shown = [items[s] for s in segments if s in items]
            total = int(page.partition("Total results: ")[2].partition(")")[0])
            expected = results_page(instruction, shown, number, total)
            assert page == "Observation:\n" + expected
        if shown:
            page = episode.step(f"click[{shown[0].asin}]").observation
            assert page == "Observation:\n" + item_page(instruction, shown[0])
