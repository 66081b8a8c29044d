"""The embedded catalogue, and the expert that shops in it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tratree_cli.envs.webshop import open_environment
from tratree_cli.envs.webshop.analyzer import Analyzer
from tratree_cli.envs.webshop.catalogue import SPLITS, embedded, make_items
from tratree_cli.envs.webshop.catalogue_words import DEPARTMENTS, Department
from tratree_cli.envs.webshop.expert import PageExpert


@pytest.fixture(scope="module")
def environment():
    return open_environment(page_size=4)


def test_splits_have_the_promised_sizes_and_share_no_task_instruction_or_product(environment):
    goals = environment.shop.goals
    seen = {"task": {}, "text": {}, "product": {}}
    for split, tasks in environment.splits().items():
        assert len(tasks) == SPLITS[split]
        for task in tasks:
            goal = goals[int(task)]
            text = goal.instruction.partition(", and price lower")[0]
            for kind, value in (("task", task), ("text", text), ("product", goal.asin)):
                assert seen[kind].setdefault(value, split) == split


def test_the_embedded_catalogue_is_the_same_every_time():
    first = embedded()
    embedded.cache_clear()
    assert embedded() == first


@pytest.mark.parametrize("department", DEPARTMENTS, ids=lambda d: d.name)
def test_a_gerund_is_found_by_the_search_for_its_participle_but_is_no_match(department: Department):
    for participle, gerund in department.finishes.items():
        assert Analyzer().terms(participle) == Analyzer().terms(gerund)
        assert participle not in gerund


@pytest.mark.parametrize("department", DEPARTMENTS, ids=lambda d: d.name)
def test_no_attribute_matches_any_other_word_of_its_department(department: Department):
    from tratree_cli.envs.webshop.reward import token_set_ratio

    attributes = [*department.finishes, *department.materials, *department.features]
    values = [value for values in department.options.values() for value in values]
    words = [*attributes, *department.finishes.values(), *department.nouns]
    for attribute in attributes:
        for word in words:
            if attribute != word:
                assert attribute not in word
                assert token_set_ratio(attribute, word) <= 85
    for one in values:
        assert not [v for v in values if v != one and token_set_ratio(one, v) > 85]


def test_catalogues_of_other_seeds_have_distinct_identifiers():
    items = make_items(random.Random(5))
    assert len({item.asin for item in items}) == len(items)
    assert all(len(item.asin) <= 10 for item in items)


def run(environment, task: str, policy: Callable[[str], tuple[str, str]]) -> tuple[float, int]:
    episode = environment.episode(task)
    observation = episode.reset()
    for step in range(10):
        outcome = episode.step(policy(observation)[1])
        observation = outcome.observation
        if outcome.done:
            return outcome.score, step + 1
    return 0.0, 10


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_the_expert_is_good_not_perfect_and_always_buys(environment):
    tasks = environment.splits()["dev"][:100]
    results = [run(environment, task, environment.expert(task).act) for task in tasks]
    assert 0.85 < mean([score for score, _ in results]) < 0.99
    assert max(steps for _, steps in results) < 10


def test_the_first_hit_is_worth_something_but_reading_pays(environment):
    def first_hit(task: str) -> Callable[[str], tuple[str, str]]:
        expert = environment.expert(task)

        def act(observation: str) -> tuple[str, str]:
            segments = observation.split(" [SEP] ")
            if "Buy Now" in segments:
                return "", "click[Buy Now]"
            if "Next >" in segments:
                return "", f"click[{segments[segments.index('Next >') + 1]}]"
            return expert.act(observation)

        return act

    tasks = environment.splits()["dev"][:100]
    assert 0.3 < mean([run(environment, task, first_hit(task))[0] for task in tasks]) < 0.6


def test_the_expert_sees_pages_only_and_reads_a_real_looking_page():
    expert = PageExpert(
        "i'm looking for a high quality stainless steel water bottle with color: black, and price "
        "lower than 30.00 dollars"
    )
    start = "WebShop [SEP] Instruction: [SEP] ... [SEP] Search"
    _, action = expert.act(start)
    assert action == "search[high quality stainless steel water bottle]"
    results = (
        "Observation:\nInstruction: [SEP] ... [SEP] Back to Search [SEP] Page 1 (Total results: 50)"
        " [SEP] Next > [SEP] B07AAAAAAA [SEP] Plastic Bottle [SEP] $9.99 [SEP] B07BBBBBBB [SEP] "
        "Stainless Steel Water Bottle, 1L [SEP] $25.0 to $28.0 [SEP] B07CCCCCCC [SEP] High Quality "
        "Stainless Steel Water Bottle [SEP] $45.0"
    )
    assert expert.act(results)[1] == "click[B07BBBBBBB]"
    item = (
        "Observation:\nInstruction: [SEP] ... [SEP] Back to Search [SEP] < Prev [SEP] color [SEP] "
        "black [SEP] red [SEP] Stainless Steel Water Bottle, 1L [SEP] Price: $25.0 to $28.0 [SEP] "
        "Rating: N.A. [SEP] Description [SEP] Features [SEP] Reviews [SEP] Buy Now"
    )
    assert expert.act(item) == ("color black", "click[black]")
    assert expert.act(item)[1] == "click[Buy Now]"


def test_the_expert_reads_a_short_page_aloud_up_to_what_it_chooses():
    expert = PageExpert("find me a quilted wool coat in red, and price lower than 40.00 dollars")
    page = (
        "Observation:\nInstruction: [SEP] ... [SEP] Back to Search [SEP] Page 1 (Total results: 3) "
        "[SEP] Next > [SEP] B0KAFEMI [SEP] padded wool coat [SEP] $25.0 [SEP] B0RUTOZA [SEP] "
        "quilted wool coat [SEP] $31.0 [SEP] B0MEMEME [SEP] quilted wool coat [SEP] $9.0"
    )
    assert expert.act(page) == (
        "B0KAFEMI padded, B0RUTOZA quilted",
        "click[B0RUTOZA]",
    )
