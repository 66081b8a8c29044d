"""WebShop behind the protocol: parameters, digests, splits, episodes; the shop's own interface."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tratree_cli.envs.protocol import Environment, Episode, Expert
from tratree_cli.envs.webshop import WebShop, open_environment
from tratree_cli.envs.webshop.environment import WebShopEnvironment, open_webshop
from tratree_cli.envs.webshop.goals import Goal
from tratree_cli.envs.webshop.splits import eto_findings, eto_splits, product_splits
from tratree_cli.errors import InputError


@pytest.fixture(scope="module")
def embedded() -> WebShopEnvironment:
    return open_webshop()


def test_it_satisfies_the_protocol(embedded: WebShopEnvironment) -> None:
    environment = embedded
    task = environment.splits()["train"][0]
    assert isinstance(environment, Environment)
    assert isinstance(environment.episode(task), Episode)
    assert isinstance(environment.expert(task), Expert)
    assert environment.task_type(task)
    environment.close()
    environment.close()


def test_opening_again_by_the_spec_gives_the_same_environment() -> None:
    first = open_environment(page_size=3, seed=7)
    again = open_environment(first.spec.data, **first.spec.parameters)
    assert again.spec == first.spec
    assert first.spec.parameters["nouns"] == "closed-words"
    assert first.spec.parameters["goals"] == "human"


def test_embedded_splits_share_no_product(embedded: WebShopEnvironment) -> None:
    asins = {
        split: {embedded.shop.goals[int(task)].asin for task in tasks}
        for split, tasks in embedded.splits().items()
    }
    assert not asins["train"] & asins["test"]
    assert not asins["train"] & asins["dev"]
    assert not asins["dev"] & asins["test"]


def test_page_size_and_hit_cap_shorten_the_results() -> None:
    environment = open_environment(page_size=2, hit_cap=5)
    episode = environment.episode("0")
    episode.reset()
    observation = episode.step("search[table]").observation
    assert "(Total results: 5)" in observation
    assert len(episode.available_actions()) == 2 + 2


def test_an_episode_keeps_its_score_and_success_after_the_purchase(
    embedded: WebShopEnvironment,
) -> None:
    episode, expert = embedded.episode("0"), embedded.expert("0")
    observation = episode.reset()
    assert not observation.startswith("Observation:")
    assert not episode.step("click[nonsense]").valid
    for _ in range(9):
        outcome = episode.step(expert.act(observation)[1])
        observation = outcome.observation
        assert observation.startswith("Observation:\n")
        if outcome.done:
            break
    assert outcome.success and outcome.score > 0
    later = episode.step("search[more]")
    assert later.success and later.score == outcome.score and not later.done
    episode.reset()
    assert episode.step("click[nonsense]").score == 0


def test_a_step_before_reset_starts_the_episode(embedded: WebShopEnvironment) -> None:
    assert embedded.episode("0").step("search[table]").valid


@pytest.mark.parametrize("task", ["-1", "x", "99999", "01", "", "٣", "1.0"])
def test_unknown_tasks_are_refused(embedded: WebShopEnvironment, task: str) -> None:
    with pytest.raises(InputError, match="no task"):
        embedded.instruction(task)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pagesize": 3}, "did you mean 'page_size'"),
        ({"page_size": "3"}, "whole number"),
        ({"page_size": True}, "whole number"),
        ({"page_size": 0}, "at least 1"),
        ({"goals": "robot"}, "one of auto, human, synthetic"),
        ({"nouns": "magic"}, "closed-words"),
        ({"nouns": "spacy:no_such_model"}, "needs spaCy"),
    ],
)
def test_bad_parameters_are_explained(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_environment(**parameters)


def test_few_human_goals_mean_synthetic_ones_and_the_spec_says_so(
    edge60: Path, tmp_path: Path
) -> None:
    environment = open_environment(str(edge60), cache=tmp_path)
    assert environment.spec.parameters["goals"] == "synthetic"
    assert len(environment.shop.goals) == 127
    assert "3 records dropped" in environment.notes[1]


def test_the_data_digest_follows_content_and_not_layout(edge60: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(edge60, copy)
    products = json.loads((copy / "items_shuffle.json").read_text(encoding="utf-8"))
    for product in products:
        product["brand"] = "unused"
    (copy / "items_shuffle.json").write_text(json.dumps(products, indent=3))
    cache = tmp_path / "cache"
    digest = open_environment(str(edge60), cache=cache).spec.data_digest
    assert open_environment(str(copy), cache=cache).spec.data_digest == digest
    products[0]["name"] += "!"
    (copy / "items_shuffle.json").write_text(json.dumps(products))
    assert open_environment(str(copy), cache=cache).spec.data_digest != digest


def test_etos_lists_ship_with_their_known_faults() -> None:
    splits = eto_splits()
    sizes = {name: len(tasks) for name, tasks in splits.items()}
    assert sizes["train"] == 1823 and sizes["test"] == 200 and sizes["test-500"] == 500
    assert sizes["test-clean"] == 179
    assert not set(splits["test-clean"]) & set(splits["train"])
    assert not set(splits["dev"]) & {*splits["train"], *splits["test"], *splits["test-500"]}
    findings = eto_findings()
    assert len(findings["test tasks that are also in train"]) == 21
    assert findings["listed twice in train"] == [4116]


def test_other_catalogues_are_split_by_product_with_few_goals_of_each() -> None:
    goals = [Goal(f"B{n % 50:03}", "", "", "", "", "", (), 1.0, ()) for n in range(1000)]
    splits = product_splits(goals)
    owners = [{goals[i].asin for i in tasks} for tasks in splits.values()]
    assert sum(map(len, owners)) == len(set().union(*owners)) == 50
    assert sum(map(len, splits.values())) == 150


def test_the_shop_itself_plays_an_episode_and_takes_ready_made_parts(edge60: Path) -> None:
    goal = Goal(
        "B0CGFM9SI1", "fashion", "men's shirts", "Shirt", "A › B", "a tee", ("tee",), 9.0, ()
    )
    shop = WebShop.load(
        edge60, goals=[goal], prices={"B0CGFM9SI1": 8.0}, nouns={"Shirt": ["shirt"]}
    )
    assert shop.reset(0) == "WebShop [SEP] Instruction: [SEP] a tee [SEP] Search"
    assert shop.available_actions() == ("search[a tee]",)
    observation, reward, done = shop.step("search[tee]")
    assert "B0CGFM9SI1" in observation and (reward, done) == (0.0, False)
    shop.step("click[B0CGFM9SI1]")
    assert shop.step("click[Buy Now]")[1:] == (1.0, True)


def test_opening_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tratree_cli.envs.webshop import open_environment; open_environment(); "
        "print([m for m in ('torch', 'transformers', 'nltk', 'spacy') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"


@pytest.mark.slow
def test_the_real_thousand_products_open_and_every_task_can_be_played(
    shared: Path, tmp_path: Path
) -> None:
    data = shared / "data" / "webshop"
    if not (data / "items_shuffle_1000.json").is_file():
        pytest.skip("the real products are not here")
    environment = open_environment(str(data), cache=tmp_path)
    assert len(environment.shop.goals) == 6910
    for task in environment.splits()["test"]:
        episode, expert = environment.episode(task), environment.expert(task)
        observation = episode.reset()
        for _ in range(environment.max_steps(task)):
            outcome = episode.step(expert.act(observation)[1])
            observation = outcome.observation
            if outcome.done:
                break
        assert 0.0 <= outcome.score <= 1.0
