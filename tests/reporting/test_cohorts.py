"""Runs of several training seeds as one cell: one definition of its reward, spread and tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import fmean, stdev

import pytest

from tratree_cli.evaluation.metrics import summarise_results
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.rows import EvaluationRow

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
