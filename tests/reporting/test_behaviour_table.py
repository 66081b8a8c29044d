"""The table that says how episodes went, in the words of their environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.reporting.conftest import report_of
from tratree_cli.display.blocks import Table
from tratree_cli.evaluation.metrics import summarise_results
from tratree_cli.reporting.rows import EvaluationRow

Maker = Callable[..., EvaluationRow]


def figures(table: Table, row: int = 0) -> dict[str, float | str | None]:
    return {
        column.title: cell.value
        for column, cell in zip(table.columns, table.rows[row].cells, strict=True)
    }


def tables(*rows: EvaluationRow) -> dict[str, Table]:
    return {table.key: table for table in report_of(rows).tables()}


def ended(row: EvaluationRow, *tasks: str, repeated: int = 0, malformed: int = 0) -> EvaluationRow:
    """The row with turns counted, and with these tasks ended by the step limit at a score of 0."""
    results = tuple(
        replace(
            result,
            repeated=repeated if result.task in tasks else 0,
            malformed=malformed if result.task in tasks else 0,
            **({"end": "step-limit", "score": 0.0} if result.task in tasks else {}),
        )
        for result in row.evaluation.results
    )
    metrics = summarise_results(results, resamples=200)
    return replace(row, evaluation=replace(row.evaluation, results=results, metrics=metrics))


def test_webshop_has_what_was_bought_and_the_reward_of_that(make: Maker) -> None:
    row = ended(make("mcts", [1.0, 0.5, 0.9, 0.2]), "t2", repeated=3, malformed=2)
    shown = figures(tables(row)["behaviour"])
    assert shown["Strict"] == 25.0
    assert shown["Bought"] == 75.0
    assert round(float(str(shown["Reward if bought"])), 6) == round(170 / 3, 6)
    assert shown["Repeats"] == 25.0
    assert shown["Malformed"] == 0.5


def test_what_is_not_known_of_turns_is_a_dash(make: Maker) -> None:
    shown = figures(tables(make("mcts", [1.0, 0.5]))["behaviour"])
    assert shown["Repeats"] is None and shown["Malformed"] is None
    assert shown["Bought"] == 100.0


def test_another_environment_has_finished_episodes(make: Maker) -> None:
    row = ended(make("mcts", [1.0, 0.5], environment="somebody-elses"), "t1")
    shown = figures(tables(row)["behaviour"])
    assert shown["Finished"] == 50.0 and shown["Reward if finished"] == 100.0


def test_each_environment_of_a_report_has_a_table_in_its_own_words(make: Maker) -> None:
    found = tables(make("mcts", [1.0, 0.5]), make("mcts", [1.0, 0.0], environment="alfworld"))
    assert "Bought" in figures(found["behaviour-webshop"])
    solved = figures(found["behaviour-alfworld"])
    assert "Solved" in solved and "Reward if solved" not in solved


def test_the_main_table_shows_strict_success_where_success_is_something_else(make: Maker) -> None:
    assert figures(tables(make("mcts", [1.0, 0.5]))["summary"])["Strict"] == 50.0
    assert "Strict" not in figures(tables(make("mcts", [1.0, 0.0]))["summary"])
