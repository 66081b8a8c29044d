"""Runs of several training seeds as one cell: one definition of its reward, spread and tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import fmean, stdev

import pytest

from tratree_cli.evaluation.metrics import summarise_results
from tratree_cli.reporting.cohorts import Cohort, cohorts, seeds_in_words
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.reporting.tables import summary

Maker = Callable[..., EvaluationRow]


def unscored(row: EvaluationRow, *tasks: str) -> EvaluationRow:
    """The run with a crashed environment on these tasks."""
    results = tuple(
        replace(result, score=None, end="environment-error") if result.task in tasks else result
        for result in row.evaluation.results
    )
    evaluation = replace(
        row.evaluation, results=results, metrics=summarise_results(results, resamples=200)
    )
    return replace(row, evaluation=evaluation)


def test_the_shown_reward_is_the_mean_of_the_figures_that_spread_and_tests_use(make: Maker) -> None:
    whole = make("mcts", [1.0, 1.0, 1.0, 0.0], seed=0)
    part = unscored(make("mcts", [1.0, 0.0, 1.0, 1.0], seed=1), "t2", "t3")
    cohort = Cohort((whole, part))
    assert cohort.rewards == (75.0, 50.0)
    assert cohort.reward is not None
    assert cohort.reward.value == pytest.approx(fmean(cohort.rewards))
    assert cohort.spread == pytest.approx(stdev(cohort.rewards))
    assert cohort.reward.low is not None and cohort.reward.high is not None
    assert cohort.reward.low < cohort.reward.value < cohort.reward.high
    # The curve ends where the reward stands, and types weigh the tasks that each run has.
    assert cohort.curve[-1].value == pytest.approx(cohort.reward.value)
    assert {name: one.value for name, one in cohort.by_type.items()} == {
        "shirts": 100.0,
        "shoes": 25.0,
    }


def test_runs_that_scored_every_task_have_the_interval_of_their_mean_per_task(make: Maker) -> None:
    scores = [0.0, 0.25, 0.5, 1.0, 1.0, 0.0]
    once = Cohort((make("mcts", scores, seed=0),))
    twice = Cohort((make("mcts", scores, seed=0), make("mcts", scores, seed=1)))
    assert twice.reward == once.reward
    assert twice.curve == once.curve


def test_a_run_without_any_score_takes_no_part(make: Maker) -> None:
    lost = unscored(make("mcts", [1.0, 1.0], seed=1), "t0", "t1")
    cohort = Cohort((make("mcts", [1.0, 0.0], seed=0), lost))
    assert cohort.rewards == (50.0,)
    assert cohort.reward is not None and cohort.reward.value == 50.0


def test_orders_of_a_seed_are_averaged_before_seeds_are_compared(make: Maker) -> None:
    rows = [
        make("mcts", [1.0, 1.0, 0.0, 0.0], seed=0, data_seed=0),
        make("mcts", [1.0, 0.0, 0.0, 0.0], seed=0, data_seed=1),
        make("mcts", [1.0, 1.0, 1.0, 1.0], seed=1, data_seed=0),
    ]
    (cohort,) = cohorts(rows)
    assert (cohort.seeds, cohort.orders) == ((0, 1), (2, 1))
    assert cohort.rewards == (37.5, 100.0)
    assert cohort.rewards_by_seed == {0: 37.5, 1: 100.0}
    assert cohort.spread == pytest.approx(stdev((37.5, 100.0)))
    # Every seed weighs the same, however many orders it has.
    assert cohort.reward is not None and cohort.reward.value == pytest.approx(68.75)
    assert cohort.task_rewards == pytest.approx({"t0": 1.0, "t1": 0.75, "t2": 0.5, "t3": 0.5})
    assert cohort.mean("success") == pytest.approx(68.75)
    assert cohort.curve[-1].value == pytest.approx(68.75)


def test_tables_say_how_many_orders_stand_behind_a_seed(make: Maker) -> None:
    def rows(seeds: int, orders: int) -> list[EvaluationRow]:
        trained = [
            make("mcts", [1.0, 0.0], seed=seed, data_seed=order)
            for seed in range(seeds)
            for order in range(orders)
        ]
        return [*trained, *(make("sft-strong", [1.0, 0.0], seed=seed) for seed in range(seeds))]

    assert seeds_in_words(cohorts(rows(5, 3))) == "5 × 3 orders"
    assert seeds_in_words(cohorts(rows(5, 1))) == "5"
    (table,) = summary.tables(ReportData(tuple(rows(5, 3))))
    shown = {row.cells[0].value: row.cells[3].value for row in table.rows}
    assert shown == {"SFT strong": 5, "W2SG MCTS": "5 × 3"}
    assert any(note.startswith("5 seeds × 3 orders: ") for note in table.notes)
    (plain,) = summary.tables(ReportData(tuple(rows(5, 1))))
    assert not any("order" in note for note in plain.notes)
