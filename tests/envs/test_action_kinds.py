"""What an action is about, told without opening its environment."""

from __future__ import annotations

import pytest

from tratree_cli.envs.action_kinds import difference_kind
from tratree_cli.envs.registry import action_kind_of, open_environment


@pytest.mark.parametrize(
    ("environment", "action", "kind"),
    [
        ("webshop", "search[red mug]", "search"),
        ("webshop", "click[B0FABIKOLO]", "item"),
        ("webshop", "click[b09kp78g37]", "item"),
        ("webshop", "click[0385473788]", "item"),
        ("webshop", "click[strawberry]", "option"),
        ("webshop", "click[10 inch]", "option"),
        ("webshop", "click[Buy Now]", "buy"),
        ("webshop", "click[< Prev]", "navigation"),
        ("webshop", "click[Next >]", "navigation"),
        ("webshop", "click[Back to Search]", "navigation"),
        ("webshop", "click[Description]", "navigation"),
        ("webshop", "buy it", "other"),
        ("alfworld", "go to shelf 1", "go"),
        ("alfworld", "put mug 1 in/on desk 2", "put"),
        ("scienceworld", "focus on substance", "focus"),
        ("scienceworld", "0", "other"),
        ("of another machine", "Move(3)", "move"),
        ("", "use lamp", "use"),
    ],
)
def test_the_kind_of_an_action(environment: str, action: str, kind: str) -> None:
    assert action_kind_of(environment)(action) == kind


def test_a_difference_has_one_kind_or_both() -> None:
    assert difference_kind("option", "option") == "option"
    assert difference_kind("option", "buy") == "option over buy"


def test_everything_that_can_be_clicked_in_the_shop_has_a_kind() -> None:
    kind = action_kind_of("webshop")
    shop = open_environment("webshop")
    task = shop.splits()["train"][0]
    episode, seen = shop.episode(task), set()
    episode.reset()
    expert, observation, done = shop.expert(task), episode.reset(), False
    while not done:
        seen |= {kind(action) for action in episode.available_actions()}
        outcome = episode.step(expert.act(observation)[1])
        observation, done = outcome.observation, outcome.done
    shop.close()
    assert {"item", "option", "buy", "navigation"} <= seen <= {
        "search", "item", "option", "buy", "navigation",
    }  # fmt: skip
