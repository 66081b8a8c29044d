"""Pairs that are not simply a better and a worse branch, as their records tell it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from tests.trees.making import made_rollouts
from tratree_cli.display.pairs import pair_view, pairs_view
from tratree_cli.envs.registry import action_kind_of
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.pairs import (
    PAIRS,
    PairFile,
    PairMessages,
    PairRecord,
    read_pairs,
    render_pairs,
    write_pairs,
)
from tratree_cli.formats.rollouts import DONE, Rollouts, write_jsonl
from tratree_cli.methods.pair_rule import MiningParameters, PairSources, pair_rule
from tratree_cli.trees.build import build_forest

SHOP = made_rollouts(
    [
        (
            "mug",
            [
                ("home", "search[mug]"),
                ("results", "click[B0ABCD]"),
                ("item", "click[red]"),
                ("item, red", "click[Buy Now]"),
            ],
            1.0,
        ),
        (
            "mug",
            [("home", "search[mug]"), ("results", "click[B0ABCD]"), ("item", "click[Buy Now]")],
            0.5,
        ),
    ],
    thoughts=("look", "choose", "pick", "pay"),
    end=DONE,
)


def mined(rollouts: Rollouts = SHOP, **parameters: object) -> list[PairRecord]:
    sources = PairSources(
        rollouts,
        build_forest(columns_from_rollouts(rollouts)),
        action_kind=action_kind_of("webshop"),
    )
    found = pair_rule("tree").load()(sources, MiningParameters(**parameters))  # type: ignore[arg-type]
    return list(render_pairs(found, rollouts))


def said(view: object) -> str:
    console = Console(width=160, no_color=True)
    with console.capture() as shown:
        console.print(view)
    return shown.get()


def test_a_mirror_pair_prefers_the_end_to_the_very_words_that_were_preferred_to_it() -> None:
    pair, mirror = mined(mirror=True, horizon=1)
    assert (pair.kind, mirror.kind) == ("option over buy", "buy over option")
    assert [m["content"] for m in mirror.prompt if m["role"] == "user"] == [
        "home", "results", "item", "item, red",
    ]  # fmt: skip
    assert mirror.rejected == pair.chosen
    assert mirror.rejected[0]["content"].endswith("Action: click[red]")
    assert mirror.chosen[0]["content"] == "Thought: pay\nAction: click[Buy Now]"
    assert (mirror.basis, mirror.step, mirror.rejected_step, mirror.horizon) == ("mirror", 3, 2, 1)
    assert (mirror.rejected_visits, mirror.chosen_score, mirror.gap) == (0, 1.0, 0.0)
    assert (pair.basis, pair.rejected_step) == ("score", -1)
    assert mirror.prefix == 0


def test_messages_that_are_put_together_by_hand_have_no_prompt_in_front() -> None:
    assert PairMessages([], [], []).prefix == 0


def test_pairs_of_earlier_versions_still_open(tmp_path: Path) -> None:
    (pair,) = mined()
    write_pairs([pair], tmp_path)
    old = asdict(pair)
    for name in ("kind", "basis", "rejected_step"):
        del old[name]
    write_jsonl(tmp_path / PAIRS, [old])
    (read,) = read_pairs(tmp_path).pairs
    assert (read.kind, read.basis, read.rejected_step) == ("", "score", -1)
    assert read.chosen == pair.chosen


def test_the_terminal_tells_what_differs_and_which_pairs_are_mirrors() -> None:
    records = mined(mirror=True)
    shown = said(pairs_view(PairFile(records, {"rule": "tree"})))
    assert "what differs: buy over option 1, option over buy 1" in shown
    assert "1 mirror pairs" in shown
    assert "not tried here" in said(pair_view(records[1]))
