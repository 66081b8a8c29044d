"""Trees, pairs and paths as people see them: any width, no colour, hostile texts."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from tests.trees.making import SHOP, made_rollouts
from tratree_cli.display.forest import render_forest, render_tree
from tratree_cli.display.pairs import pair_view, pairs_view
from tratree_cli.display.paths import path_view, paths_view
from tratree_cli.display.seen import seen
from tratree_cli.display.tree_rows import tree_rows
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.pairs import PairFile, render_pairs
from tratree_cli.formats.paths import PathFile, render_paths
from tratree_cli.formats.rollouts import Rollouts
from tratree_cli.formats.trees import TreeFile
from tratree_cli.reporting.render.tree_exports import forest_html, tree_dot, tree_json, tree_mermaid
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.divergence_pairs import mine
from tratree_cli.trees.search.api import search


def tree_of(rollouts: Rollouts) -> TreeFile:
    return TreeFile(build_forest(columns_from_rollouts(rollouts)), rollouts, {})


def printed(view: RenderableType, width: int = 80, colour: bool = False) -> str:
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=colour,
        color_system="truecolor" if colour else None,
        highlight=False,
    )
    console.print(view)
    return file.getvalue()


SHOP_TREE = tree_of(SHOP)
HOSTILE = tree_of(
    made_rollouts(
        [
            ("[bold]t[/bold]", [("see \x1b[2J", "click[red] \x1b[31m\x07"), ("o", "b\u202e")], 1.0),
            ("[bold]t[/bold]", [("see \x1b[2J", 'say "x" ]| <b>&#')], 0.0),
        ]
    )
)


@pytest.mark.parametrize("width", [40, 80, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    search_result = search(SHOP_TREE.forest)
    text = printed(render_forest(SHOP_TREE, 2, search_result), width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "search[mug]" in text if width >= 80 else "search" in text


def test_a_tree_shows_counts_scores_divergences_and_the_best_path() -> None:
    lines = printed(render_tree(SHOP_TREE, 0, search(SHOP_TREE.forest))).splitlines()
    red = next(line for line in lines if "click[red mug]" in line)
    assert "★" in red and "0.50" in red and "1/2" in red and "◆1.00" in red
    stop = next(line for line in lines if "(stops here)" in line)
    assert "0.00" in stop
    assert any("(no action could be read)" in line for line in lines)


def test_depth_and_visits_leave_nodes_out_and_say_so() -> None:
    text = printed(render_tree(SHOP_TREE, 0, max_depth=1))
    assert "click[red mug]" not in text and "(+2 not shown)" in text
    assert "6 of 9 nodes are not drawn" in text
    assert "search[cup]" not in printed(render_tree(SHOP_TREE, 0, min_visits=2))


def test_a_long_run_without_a_choice_is_told_in_one_row_where_asked_for() -> None:
    def household(*ends: str) -> list[tuple[str, str]]:
        return [("a room", action) for action in ("go in", *ends)]

    long = [f"look {number}" for number in range(9)]
    tree = tree_of(
        made_rollouts(
            [("t", household(*long, "drop"), 0.0), ("t", household("take", "put"), 1.0)],
        )
    )
    whole, short = tree_rows(tree, 0), tree_rows(tree, 0, fold=True)
    assert [row.text for row in short] == [
        "go in",
        "look 0",
        "… 8 steps …",
        "drop",
        "take",
        "put",
    ]
    assert len(short) + sum(row.folded for row in short) == len(whole)
    assert "not drawn" not in printed(render_tree(tree, 0, fold=True))
    assert "look 4" in printed(render_tree(tree, 0))


def test_foreign_texts_are_neither_markup_nor_control_sequences() -> None:
    text = printed(render_forest(HOSTILE))
    assert "click[red]" in text and "[bold]t[/bold]" in text
    assert not set("\x1b\x07\u202e") & set(text)


def test_colour_adds_nothing_but_colour() -> None:
    import re

    view = render_tree(SHOP_TREE, 0)
    assert re.sub(r"\x1b\[[0-9;]*m", "", printed(view, colour=True)) == printed(view)


def test_exports_escape_what_could_end_a_label() -> None:
    rows = tree_rows(HOSTILE, 0)
    mermaid = tree_mermaid(rows, "task")
    assert "click#91;red#93;" in mermaid and "<b>" not in mermaid
    assert mermaid.count("-->") + mermaid.count("==>") == len(rows)
    dot = tree_dot(rows, "task")
    assert 'say \\"x\\"' in dot and dot.count("->") == len(rows)
    page = forest_html(HOSTILE)
    assert "<b>&#" not in page and "http" not in page.replace("http-equiv", "")


def test_json_has_every_node_with_its_words() -> None:
    records = list(tree_json(SHOP_TREE))
    assert len(records) == len(SHOP_TREE.forest)
    assert records[1]["action"] == "search[mug]" and records[1]["task"] == "mug"
    assert records[0]["action"] is None


def test_a_path_stands_beside_the_best_observed() -> None:
    records, dropped = render_paths(search(SHOP_TREE.forest), SHOP)
    paths = PathFile(records, {"rule": "mcts", "dropped": dropped})
    assert "e* of the search" in printed(paths_view(paths))
    text = printed(path_view(records[0]))
    assert "click[red mug]" in text and "same trajectory" in text


def test_pairs_show_gaps_reasons_and_both_sides() -> None:
    found = mine(SHOP_TREE.forest)
    pairs = PairFile(list(render_pairs(found, SHOP)), {"rule": "tree", "dropped": found.dropped})
    text = printed(pairs_view(pairs), 120)
    assert "3 pairs on 1 tasks" in text and "one side only stops 2" in text
    sides = printed(pair_view(pairs.pairs[-1]))
    assert "chosen" in sides and "rejected" in sides and "back" in sides


@pytest.mark.parametrize(
    "episodes",
    [
        [],
        [("t", [], 0.0)],
        [("t", [("o", "a")], None)],
        [("t", [("o", "a")], 0.0)],
        [("t", [("o", "a")], 0.0), ("t", [("o", "b")], 0.0)],
        [("t", [("o", "a")], 1.0), ("t", [("o", "a"), ("p", "b")], 0.0)],
    ],
)
def test_degenerate_forests_are_reported_not_crashed(episodes: list) -> None:
    tree = tree_of(made_rollouts(episodes))
    found = search(tree.forest)
    pairs = mine(tree.forest)
    assert not pairs.pairs
    text = printed(render_forest(tree, 2, found))
    assert tree.forest.trees == len({task for task, _, _ in episodes})
    assert "empty" in text
    records, _ = render_paths(found, tree.rollouts)
    printed(paths_view(PathFile(records)))
    assert "leaves the model as it is" in printed(pairs_view(PairFile([], {"rule": "tree"})), 200)


def test_a_chain_of_a_thousand_steps_is_drawn_everywhere() -> None:
    steps = [(f"page {number}", f"click[{number}]") for number in range(1000)]
    tree = tree_of(made_rollouts([("t", steps, 1.0), ("t", [("page 0", "buy")], 0.0)]))
    found = search(tree.forest)
    page = forest_html(tree, search=found)
    assert "click[99]" in page and "more nodes are in the artifact" in page
    text = printed(render_forest(tree, 1, found))
    assert "… 998 steps …" in text and "click[999]" in text and "not drawn" not in text
    whole = printed(render_tree(tree, 0, found))
    assert "click[10]" in whole and "601 of 1,002 nodes are not drawn" in whole
    rows = tree_rows(tree, 0)
    assert len(rows) == 1001
    assert tree_mermaid(rows, "t").count("-->") + tree_mermaid(rows, "t").count("==>") == 1001
    assert len(list(tree_json(tree))) == 1002


def test_figures_stay_near_their_words_on_a_wide_terminal() -> None:
    lines = printed(render_tree(SHOP_TREE, 0), 160).splitlines()
    assert max(len(line.rstrip()) for line in lines if "◆" in line or "click" in line) < 110


RESULTS = "Instruction: [SEP] a mug [SEP] Page 1 [SEP] B01 [SEP] red mug [SEP] $4.0"
PRODUCT = "Instruction: [SEP] a mug [SEP] color [SEP] red [SEP] red mug [SEP] Buy Now"


@pytest.mark.parametrize(
    ("action", "before", "after", "words"),
    [
        ("click[B01]", RESULTS, PRODUCT, "red mug"),
        ("search[mug]", "Instruction: [SEP] a mug", RESULTS, "red mug"),
        ("click[red]", PRODUCT, PRODUCT, ""),
        (
            "go to shelf 1",
            "You are in a room.",
            "On the shelf 1, you see a vase 2.",
            "On the shelf",
        ),
    ],
)
def test_beside_an_action_stands_what_it_showed(
    action: str, before: str, after: str, words: str
) -> None:
    told = seen(action, before, after)
    assert told.startswith(words) and bool(told) == bool(words)


def test_an_action_without_an_effect_is_marked_and_a_chain_has_its_figures_once() -> None:
    rollouts = made_rollouts(
        [
            ("t", [(RESULTS, "click[B01]"), (PRODUCT, "click[blue]"), (PRODUCT, "buy")], 1.0),
            ("t", [(RESULTS, "click[B02]")], 0.0),
        ]
    )
    first = rollouts.trajectories[0]
    changed = replace(first, valid=(True, False, True))
    rollouts = replace(rollouts, trajectories=[changed, *rollouts.trajectories[1:]])
    lines = printed(render_tree(tree_of(rollouts), 0)).splitlines()
    opened, blue, bought = (
        next(line for line in lines if word in line) for word in ("B01", "blue", "buy")
    )
    assert "click[B01]  red mug" in opened and "1.00" in opened
    assert "✗" in blue and "✗" not in opened + bought
    assert "1.00" not in blue + bought
    assert any("✗ had no effect" in line for line in lines)
