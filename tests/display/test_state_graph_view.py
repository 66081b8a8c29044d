"""A state graph as people see it: each state once, cycles by name, at any width."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from tests.display.test_forest_views import printed, tree_of
from tests.trees.making import made_rollouts
from tratree_cli.display.forest import render_forest, render_graph
from tratree_cli.formats.rollouts import Rollouts
from tratree_cli.formats.trees import TreeFile
from tratree_cli.reporting.render.tree_exports import graph_json
from tratree_cli.trees.join_states import build_state_graph

MUGS = made_rollouts(
    [
        (
            "mug",
            [
                ("home", "search[mug]"),
                ("results", "back"),
                ("home", "search[cup]"),
                ("results", "click[red]"),
                ("red mug", "buy"),
            ],
            1.0,
        ),
        ("mug", [("home", "search[mug]"), ("results", "click[blue]"), ("blue mug", "buy")], 0.25),
        ("mug", [("home", "search[tea]"), ("nothing", "!I give up")], 0.0),
        ("tie", [], 0.0),
    ]
)


def graph_of(rollouts: Rollouts) -> TreeFile:
    tree = tree_of(rollouts)
    return replace(tree, graph=build_state_graph(tree.forest.columns))


@pytest.mark.parametrize("width", [40, 80, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for view in (render_forest(graph_of(MUGS)), render_graph(graph_of(MUGS), 0)):
        assert max(map(cell_len, printed(view, width).splitlines())) <= width


def test_every_state_is_drawn_once_and_named_where_it_is_met_again() -> None:
    text = printed(render_graph(graph_of(MUGS), 0))
    assert text.count("click[red]") == text.count("click[blue]") == 1
    assert "search[mug]  #1 2 to go" in text
    assert "search[cup]  to #1 2 to go" in text
    assert "back to start" in text
    assert text.count("ends") >= 2
    assert "4 states" not in text and "5 states" in text


def test_depth_and_rare_answers_may_be_left_out_and_a_long_graph_is_cut_with_a_note() -> None:
    graph = graph_of(MUGS)
    assert "click[red]" not in printed(render_graph(graph, 0, max_depth=1))
    assert "search[tea]" not in printed(render_graph(graph, 0, min_visits=2))
    assert "rows are not drawn" in printed(render_graph(graph, 0, max_rows=3))


def test_a_task_without_a_step_is_drawn_empty() -> None:
    assert "task tie" in printed(render_graph(graph_of(MUGS), 1))


def test_records_have_every_answer_with_its_value_and_distance() -> None:
    records = {record["action"]: record for record in graph_json(graph_of(MUGS))}
    assert records["click[red]"]["distance"] == 2
    assert records["buy"]["task"] == "mug"
    assert records[None]["distance"] == -1
    assert records["back"]["led_to"] == [[records["search[cup]"]["state"], 1]]
