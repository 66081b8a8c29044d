"""The embedded shop with chance in it: what an episode's seed decides, and what stays as it was."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import pytest

from tests.command_line import invoke
from tests.envs.test_conformance import broken
from tratree_cli.agents.episode import EpisodeRequest
from tratree_cli.agents.rollout import play
from tratree_cli.agents.scripted import ScriptedPolicy, agent_output, expert_agent, open_expert
from tratree_cli.commands.env import app
from tratree_cli.envs.protocol import Outcome, begin_episode
from tratree_cli.envs.registry import open_environment
from tratree_cli.envs.webshop.environment import WebShopEnvironment, open_webshop
from tratree_cli.envs.webshop.stochastic import Chance
from tratree_cli.errors import InputError
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.rollouts import Rollouts
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.search.api import best_observed, search
from tratree_cli.trees.search.comparison import compared_with_best


@pytest.fixture(scope="module")
def plain() -> WebShopEnvironment:
    return open_webshop()


@pytest.fixture(scope="module")
def noisy() -> WebShopEnvironment:
    return open_webshop(out_of_stock=0.3, score_noise=0.2)


def expert_actions(environment: WebShopEnvironment, task: str) -> list[str]:
    expert, episode = environment.expert(task), environment.episode(task)
    page, actions = episode.reset(), []
    for _ in range(environment.max_steps(task)):
        actions.append(expert.act(page)[1])
        outcome = episode.step(actions[-1])
        page = outcome.observation
        if outcome.done:
            break
    return actions


def replayed(
    environment: WebShopEnvironment, task: str, actions: Sequence[str], seed: int
) -> list[Outcome]:
    episode = begin_episode(environment, task, seed)
    episode.reset()
    return [episode.step(action) for action in actions]


def products_of(actions: Sequence[str]) -> list[str]:
    """Those that open a product of a page of results."""
    other = ("click[back to search]", "click[next >]", "click[< prev]")
    return [a for a in actions if a.startswith("click[") and a not in other]


def test_without_chance_the_environment_has_the_key_that_it_always_had(
    plain: WebShopEnvironment,
) -> None:
    assert list(plain.spec.parameters) == [
        "page_size", "hit_cap", "max_steps", "goals", "nouns", "seed",
    ]  # fmt: skip
    assert open_webshop(out_of_stock=0, score_noise=0.0).spec == plain.spec
    assert not plain.stochastic


def test_with_chance_the_environment_has_another_key(noisy: WebShopEnvironment) -> None:
    assert noisy.spec.parameters["out_of_stock"] == 0.3
    assert noisy.spec.parameters["score_noise"] == 0.2
    assert open_webshop(**noisy.spec.parameters).spec == noisy.spec


def test_the_same_seed_and_actions_give_the_same_episode(noisy: WebShopEnvironment) -> None:
    task = noisy.splits()["train"][0]
    actions = expert_actions(noisy, task)
    for seed in range(5):
        assert replayed(noisy, task, actions, seed) == replayed(noisy, task, actions, seed)
    ends = {replayed(noisy, task, actions, seed)[-1].observation for seed in range(20)}
    assert len(ends) > 5


def test_a_product_that_is_out_of_stock_is_said_so_and_leaves_the_list() -> None:
    shop = open_webshop(out_of_stock=1.0)
    task = shop.splits()["train"][0]
    episode = shop.episode(task)
    episode.reset()
    before = episode.step("search[table]").observation
    click = products_of(episode.available_actions())[0]
    after = episode.step(click)
    gone = click.removeprefix("click[").removesuffix("]")
    assert after.valid and not after.done and "Buy Now" not in after.observation
    assert f"[SEP] {gone.upper()} [SEP] Out of stock [SEP] Page 1" in after.observation
    assert after.observation != before
    assert click not in episode.available_actions()
    # What is not on the page has no effect, as everywhere.
    assert not episode.step(click).valid


def test_what_is_out_of_stock_does_not_depend_on_what_was_done_before() -> None:
    stock = [Chance(0.3, 0.0, seed).has("B01") for seed in range(2000)]
    assert fmean(stock) == pytest.approx(0.7, abs=0.03)
    assert all(Chance(0.0, 0.0, seed).has("B01") for seed in range(50))
    share = fmean(Chance(0.3, 0.0, 7).has(f"B{i}") for i in range(2000))
    assert share == pytest.approx(0.7, abs=0.03)


def test_a_noisy_score_is_the_true_one_on_average_and_stays_within_its_bounds() -> None:
    middle = [Chance(0.0, 0.1, seed).scored(0.5) for seed in range(4000)]
    assert fmean(middle) == pytest.approx(0.5, abs=0.01)
    assert fmean((x - 0.5) ** 2 for x in middle) ** 0.5 == pytest.approx(0.1, abs=0.01)
    assert {Chance(0.0, 0.0, seed).scored(0.123456789) for seed in range(9)} == {0.123456789}
    top = [Chance(0.0, 0.5, seed).scored(1.0) for seed in range(500)]
    assert max(top) == 1.0 and min(top) >= 0.0


def test_the_last_page_tells_the_score_that_counts(noisy: WebShopEnvironment) -> None:
    shop = open_webshop(score_noise=0.2)
    task = shop.splits()["train"][0]
    actions = expert_actions(shop, task)
    for seed in range(3):
        last = replayed(shop, task, actions, seed)[-1]
        assert last.done and repr(last.score) in last.observation


def test_pages_and_scores_without_chance_are_untouched(plain: WebShopEnvironment) -> None:
    quiet = open_webshop(out_of_stock=1e-12)
    assert quiet.stochastic
    for task in plain.splits()["train"][:5]:
        actions = expert_actions(plain, task)
        assert replayed(quiet, task, actions, 3) == replayed(plain, task, actions, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"out_of_stock": 1.5}, "must be at most 1"),
        ({"score_noise": -0.1}, "must be at least 0"),
        ({"score_noise": "much"}, "is a number, not 'much'"),
        ({"out_of_stock": float("nan")}, "is a number"),
        ({"out_of_stock": True}, "is a number"),
    ],
)
def test_values_that_mean_nothing_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_webshop(**given)


def test_a_folder_of_data_stays_as_the_original_is(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="embedded catalogue alone"):
        open_webshop(str(tmp_path), score_noise=0.1)


def test_a_stochastic_shop_keeps_every_promise() -> None:
    assert not broken(lambda: open_environment("webshop", "embedded", {"out_of_stock": 0.3}))
    from tratree_cli.envs import conformance

    def opener() -> Any:
        return open_environment("webshop", "embedded", {"score_noise": 0.3})

    findings = {finding.promise: finding for finding in conformance.check(opener, tasks=1)}
    assert findings["a seed gives the same episode"].kept


def test_the_command_line_takes_numbers_with_a_point() -> None:
    words = ["check", "webshop", "--strict", "--set", "score_noise=0.3", "--set", "out_of_stock=.2"]
    result = invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "a seed gives the same episode" in result.stdout
    refused = invoke(app, ["check", "webshop", "--set", "score_noise=nan"])
    assert refused.exit_code != 0


def test_a_rollout_draws_chance_from_its_episodes_seeds(noisy: WebShopEnvironment) -> None:
    tasks = noisy.splits()["train"][:4]
    requests = [EpisodeRequest(task, seed=seed) for task in tasks for seed in (1, 2, 3)]
    first, texts = play(noisy, open_expert("", {}, 8), requests, batch=5)
    again, other = play(noisy, open_expert("", {}, 8), requests, batch=1)
    assert first == again and texts.texts == other.texts
    assert len({trajectory.score for trajectory in first if trajectory.task == tasks[0]}) > 1


def test_the_expert_buys_something_else_where_its_choice_is_out_of_stock() -> None:
    shop = open_webshop(out_of_stock=0.5)
    requests = [EpisodeRequest(task, seed=5) for task in shop.splits()["train"][:20]]
    found, texts = play(shop, open_expert("", {}, 8), requests)
    told = [any("Out of stock" in texts[o] for o in t.observations) for t in found]
    assert sum(told) > 5
    assert sum(t.success for t, missed in zip(found, told, strict=True) if missed) > 2


def choosing(opening: Any) -> Any:
    """The expert in every other episode; else the first product of the page, without options."""
    if opening.seed % 2:
        return expert_agent(opening)

    def act(turn: Any) -> str:
        actions = turn.available()
        bought = "click[buy now]" in actions
        choice = "click[buy now]" if bought else (products_of(actions) or actions)[0]
        return agent_output("", choice)

    return act


def test_under_noise_e_star_is_worth_more_than_the_luckiest_trajectory(
    plain: WebShopEnvironment,
) -> None:
    shop = open_webshop(score_noise=0.5)
    tasks = shop.splits()["train"][:30]
    requests = [EpisodeRequest(t, i, seed=10 * int(t) + i) for t in tasks for i in range(6)]
    found, texts = play(shop, ScriptedPolicy(choosing), requests)
    rollouts = Rollouts(texts, found)
    forest = build_forest(columns_from_rollouts(rollouts))
    result = search(forest)
    compared = compared_with_best(result)
    assert compared.uneven == len(tasks)
    assert 0 < compared.below <= compared.other_words

    def worth(number: int) -> float:
        """The score of these actions without noise."""
        actions = [texts[action] for action in found[number].actions]
        return replayed(plain, found[number].task, actions, 0)[-1].score

    by_mean = fmean(map(worth, result.best_trajectory.tolist()))
    by_luck = fmean(map(worth, best_observed(forest).tolist()))
    assert by_mean > by_luck
