"""A line about an artifact begins with what it is called and with its leading figures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tratree_cli.display.artifacts import listing
from tratree_cli.display.headlines import called, figures, headline

EVALUATION = {"steps": 84, "average_reward": 75.81, "success_rate": 96.5, "tasks": 200}


def entry(label: str, kind: str, summary: dict[str, Any], env: str = "webshop") -> Any:
    return SimpleNamespace(
        kind=kind,
        stage="eval",
        object="0123456789abcdef" * 4,
        ref=f"{kind}:" + "0123456789abcdef" * 4,
        created=1000.0,
        seconds=12.0,
        size=5000,
        summary=summary,
        provenance={"label": label, "config": {"env": {"name": env}, "recipe": "quick"}},
    )


def lines(*entries: Any, names: dict[str, str] | None = None, long: bool = False) -> list[str]:
    console = Console(width=80, record=True, color_system=None)
    with console.capture() as shown:
        console.print(listing(entries, names or {}, 1090.0, long=long, title=str.upper))
    return shown.get().splitlines()


def test_an_evaluation_is_its_policy_reward_and_success() -> None:
    said = headline("evaluation", EVALUATION, "evaluation of W2SG MCTS")
    assert said == "W2SG MCTS · 75.8 · success 96 % · 200 tasks"


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("SFT weak model", "SFT weak"),
        ("SFT strong model, seed 1", "SFT strong, seed 1"),
        ("strong model, mcts", "MCTS"),
        ("strong model, mcts, seed 0", "MCTS, seed 0"),
        ("evaluation of SFT weak", "evaluation of SFT weak"),
    ],
)
def test_one_thing_has_one_name(label: str, said: str) -> None:
    assert called(label, str.upper) == said


def test_an_unknown_kind_shows_its_first_numbers() -> None:
    assert figures("salad", {"leaves": 3, "dressing": "oil", "is_good": 1.5}) == [
        "leaves 3",
        "is good 1.5",
    ]


def test_a_listing_fits_eighty_columns_and_cuts_no_reference() -> None:
    long_label = "reference scores of the pairs of a method with an exceedingly long name"
    shown = lines(entry(long_label, "ref-logps", {"pairs": 39}), entry("x", "tree", {"trees": 2}))
    assert max(map(len, shown)) <= 80
    assert len(shown) == 3
    assert shown[1].rstrip().endswith("ref-logps:01234567  1 m ago")


def test_what_entries_differ_in_is_named_and_a_given_name_stands_first() -> None:
    rooms, shop = entry("a", "tree", {}, "alfworld"), entry("b", "tree", {}, "webshop")
    rooms.ref = "tree:other"
    shown = lines(rooms, shop, names={"mine": shop.ref})
    assert "a · alfworld" in shown[1]
    assert shown[2].startswith("mine  b · webshop")


def test_a_long_listing_has_recipe_time_size_and_the_whole_summary() -> None:
    shown = " ".join(" ".join(lines(entry("a", "evaluation", EVALUATION), long=True)).split())
    for words in ("webshop · quick", "took 12 s", "5.0 kB", "average reward 75.81", "steps 84"):
        assert words in shown
