"""The tables of seconds: what they hold, and where a shown report has them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.reporting.conftest import report_of
from tratree_cli.display.blocks import Row, Table
from tratree_cli.reporting.cost import with_cost
from tratree_cli.reporting.policy_cost import PolicyCost, RunCost
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.reporting.tables import seconds_by_policy, seconds_by_stage

SECONDS = {"sft": 10.0, "build-tree": 0.41, "mcts": 0.23, "eval": 5.0}


def titles(table: Table) -> list[str]:
    return [column.title for column in table.columns]


def values(row: Row) -> list[object]:
    return [cell.value for cell in row.cells[1:]]


def test_tree_and_search_seconds_stand_apart() -> None:
    costs = [PolicyCost("W2SG MCTS", (RunCost(SECONDS), RunCost(SECONDS)))]
    table = seconds_by_policy.table(costs)
    assert titles(table) == ["Policy", "Seconds", "Tree + search"]
    assert values(table.rows[0]) == pytest.approx([15.64, 0.64])
    stages = seconds_by_stage.table(costs)
    assert titles(stages) == ["Policy", "sft", "build-tree", "mcts", "eval"]


def test_gpu_and_processor_time_have_columns_where_they_are_known() -> None:
    known = RunCost(SECONDS, episodes=7, cpu_seconds=3.0, gpu_seconds=2.0)
    costs = [PolicyCost("W2SG MCTS", (known,)), PolicyCost("SFT strong", (RunCost(SECONDS),))]
    table = seconds_by_policy.table(costs)
    assert titles(table)[3:] == ["CPU", "GPU", "Episodes"]
    assert [values(row)[2:] for row in table.rows] == [[3.0, 2.0, 7], [None, None, None]]
    assert "GPU" not in titles(seconds_by_policy.table(costs[1:]))


def test_tokens_that_a_tree_shares_have_columns_where_a_training_was_packed() -> None:
    packed = RunCost(SECONDS, trained=1000, computed=500, saved=3.0)
    costs = [PolicyCost("W2SG tree-DPO", (packed,)), PolicyCost("SFT strong", (RunCost(SECONDS),))]
    table = seconds_by_policy.table(costs)
    assert titles(table)[3:] == ["Trained tokens", "Computed", "Seconds saved"]
    assert [values(row)[2:] for row in table.rows] == [[1000, 500, 3.0], [None, None, None]]


def test_cost_is_added_to_its_section_and_changes_no_other_block(
    make: Callable[..., EvaluationRow],
) -> None:
    stored = report_of([make("mcts", [1.0, 0.0])])
    shown = with_cost(stored, [PolicyCost("W2SG MCTS", (RunCost(SECONDS),))])
    assert [table.key for table in shown.tables() if table not in stored.tables()] == [
        "cost",
        "stages",
    ]
    assert shown.figures() == stored.figures()
    cost = shown.section("cost")
    assert cost is not None
    assert [block.key for block in cost.blocks] == ["budget", "cost", "stages"]
    assert with_cost(stored, [PolicyCost("W2SG MCTS", (RunCost(),))]) == stored
