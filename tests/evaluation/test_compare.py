"""Paired differences over tasks, and the share of a gap that was recovered."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tratree_cli.evaluation.compare import (
    ABOVE_ONE,
    paired_difference,
    performance_gap_recovered,
)


def test_the_difference_is_taken_task_by_task() -> None:
    own = {"a": 1.0, "b": 0.5, "c": 0.0, "only-own": 1.0}
    baseline = {"c": 0.5, "b": 0.5, "a": 0.0, "only-baseline": 1.0}
    result = paired_difference(own, baseline)
    assert result.tasks == 3
    assert (result.better, result.worse) == (1, 1)
    assert result.difference is not None
    assert result.difference.value == pytest.approx(100 * 0.5 / 3, abs=1e-4)
    assert "2 tasks" in result.note


def test_pairing_finds_a_small_steady_gain_that_two_intervals_hide() -> None:
    random = np.random.default_rng(1)
    hard = {f"t{i}": float(value) for i, value in enumerate(random.random(200))}
    better = {task: value + 0.02 + 0.01 * random.random() for task, value in hard.items()}
    difference = paired_difference(better, hard).difference
    assert difference is not None
    assert difference.low is not None
    assert difference.low > 0


def test_the_interval_agrees_with_scipys_percentile_bootstrap() -> None:
    random = np.random.default_rng(2)
    own = {f"t{i:03}": float(v) for i, v in enumerate(random.random(300))}
    baseline = {f"t{i:03}": float(v) for i, v in enumerate(random.random(300))}
    mine = paired_difference(own, baseline, resamples=8000).difference
    gains = np.array([own[t] - baseline[t] for t in sorted(own)])
    theirs = stats.bootstrap((gains,), np.mean, n_resamples=8000, method="percentile", rng=7)
    assert mine is not None
    assert mine.low == pytest.approx(100 * theirs.confidence_interval.low, abs=0.35)
    assert mine.high == pytest.approx(100 * theirs.confidence_interval.high, abs=0.35)


@pytest.mark.parametrize(
    ("own", "baseline", "sentence"),
    [
        ({}, {"a": 1.0}, "no scored task in common"),
        ({"a": math.nan}, {"a": 1.0}, "no scored task in common"),
        ({"a": 1.0}, {"a": 0.0}, "One common task"),
        ({"a": 1.0, "b": 0.2}, {"a": 1.0, "b": 0.2}, "Equal on every task"),
    ],
)
def test_unusable_pairs_give_a_sentence(
    own: dict[str, float], baseline: dict[str, float], sentence: str
) -> None:
    assert sentence in paired_difference(own, baseline).note


def test_the_papers_webshop_figures_recover_most_of_the_gap() -> None:
    # Table 1, WebShop: weak 47.1, MCTS 56.9, ceiling 58.3.
    gap = performance_gap_recovered(56.9, 47.1, 58.3)
    assert gap.recovered == pytest.approx(9.8 / 11.2)
    assert gap.note == ""


def test_the_papers_scienceworld_figures_pass_the_ceiling_and_say_why() -> None:
    gap = performance_gap_recovered(58.2, 41.2, 56.9)
    assert gap.recovered is not None
    assert gap.recovered > 1
    assert gap.note == ABOVE_ONE


@pytest.mark.parametrize(
    ("own", "weak", "ceiling"),
    [(None, 1.0, 2.0), (1.0, 2.0, 2.0), (1.0, 3.0, 2.0), (math.nan, 1.0, 2.0)],
)
def test_a_gap_that_does_not_exist_is_not_divided_by(
    own: float | None, weak: float, ceiling: float
) -> None:
    gap = performance_gap_recovered(own, weak, ceiling)
    assert gap.recovered is None
    assert gap.note.endswith(".")
