"""The figures of one policy, from small cases that can be checked by hand."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tratree_cli.evaluation.bootstrap import bootstrap_means, mean_interval
from tratree_cli.evaluation.metrics import best_of_n, summarise, summarise_results, task_rewards
from tratree_cli.evaluation.results import EpisodeResult
from tratree_cli.formats.rollouts import Rollouts, TextTable, Trajectory


def result(
    task: str,
    score: float | None,
    *,
    sample: int = 0,
    setting: int = 0,
    curve: tuple[float, ...] | None = None,
    kind: str = "shoes",
    end: str = "done",
    invalid: int = 0,
) -> EpisodeResult:
    scores = curve if curve is not None else (score or 0.0,)
    success = score is not None and score > 0
    return EpisodeResult(
        task, kind, sample, setting, score, success, len(scores), invalid, end, scores
    )


def test_a_task_counts_once_however_often_it_was_sampled() -> None:
    metrics = summarise_results(
        [result("a", 1.0), result("a", 0.0, sample=1), result("a", 0.5, sample=2), result("b", 0.0)]
    )
    assert metrics.reward is not None
    assert metrics.reward.value == pytest.approx(25.0)
    assert (metrics.tasks, metrics.episodes) == (2, 4)


def test_success_perfect_and_finished_are_different_things() -> None:
    metrics = summarise_results(
        [
            result("a", 1.0),
            result("b", 0.5),
            result("c", 0.0),
            result("d", 0.0, end="step-limit", invalid=3),
        ]
    )
    assert metrics.success is not None and metrics.success.value == 50.0
    assert metrics.perfect is not None and metrics.perfect.value == 25.0
    assert metrics.finished is not None and metrics.finished.value == 75.0
    assert metrics.invalid is not None and metrics.invalid.value == 0.75
    assert metrics.endings == {"done": 3, "step-limit": 1}


def test_a_crash_is_left_out_and_counted_not_scored_zero() -> None:
    metrics = summarise_results(
        [result("a", 1.0), result("b", None, end="environment-error"), result("c", 0.5)]
    )
    assert metrics.reward is not None and metrics.reward.value == 75.0
    assert (metrics.tasks, metrics.unscored) == (2, 1)
    assert any("1 of 3 episodes have no score" in note for note in metrics.notes)
    assert any("1 tasks have no scored episode" in note for note in metrics.notes)


def test_no_episode_and_no_scored_episode_give_sentences() -> None:
    assert summarise_results([]).notes == (
        "There are no episodes, so there is nothing to measure.",
    )
    broken = summarise_results([result("a", None, end="policy-error")])
    assert broken.reward is None
    assert "No episode has a score" in broken.notes[0]


def test_one_task_has_a_mean_and_no_interval() -> None:
    metrics = summarise_results([result("a", 0.5)])
    assert metrics.reward is not None
    assert (metrics.reward.value, metrics.reward.low) == (50.0, None)
    assert any("One task only" in note for note in metrics.notes)


def test_equal_rewards_say_that_a_narrow_interval_is_no_certainty() -> None:
    metrics = summarise_results([result(f"t{i}", 0.0) for i in range(20)])
    assert metrics.reward is not None
    assert (metrics.reward.low, metrics.reward.high) == (0.0, 0.0)
    assert any("does not mean" in note for note in metrics.notes)


def test_the_curve_keeps_the_final_score_after_the_end() -> None:
    metrics = summarise_results(
        [result("a", 1.0, curve=(0.2, 1.0)), result("b", 0.4, curve=(0.0, 0.1, 0.1, 0.4))]
    )
    assert [point.value for point in metrics.curve] == pytest.approx([10.0, 55.0, 55.0, 70.0])


def test_best_of_n_takes_the_episode_with_the_highest_score() -> None:
    episodes = [
        result("a", 0.2),
        result("a", 0.9, sample=1),
        result("a", 1.0, sample=2),
        result("b", 0.0),
        result("b", 0.0, sample=1),
        result("b", 0.0, sample=2),
    ]
    metrics = summarise_results(episodes, best_of=2)
    assert metrics.aggregation == "best-of-2"
    assert metrics.reward is not None and metrics.reward.value == pytest.approx(45.0)
    assert task_rewards(episodes, best_of=3) == {"a": 1.0, "b": 0.0}
    assert metrics.best_of is not None and list(metrics.best_of) == [1, 2, 3]
    assert metrics.best_of[3].value == 50.0


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=6),
    st.integers(1, 6),
)
def test_expected_best_of_n_equals_the_mean_over_all_subsets(
    scores: list[float], number: int
) -> None:
    size = min(number, len(scores))
    subsets = list(combinations(scores, size))
    assert best_of_n(scores, number) == pytest.approx(sum(map(max, subsets)) / len(subsets))


def test_types_and_settings_are_reported_apart() -> None:
    metrics = summarise_results(
        [
            result("a", 1.0, kind="shoes"),
            result("b", 0.0, kind="shirts"),
            result("a", 0.5, sample=1, setting=1, kind="shoes"),
        ],
        settings=[{"temperature": 0.0}, {"temperature": 0.7, "top_p": 0.9}],
    )
    assert [(group.name, group.tasks) for group in metrics.types] == [("shirts", 1), ("shoes", 1)]
    by_name = {group.name: group.reward.value for group in metrics.settings}
    assert by_name == {"greedy": 50.0, "temperature=0.7 top_p=0.9": 50.0}


def test_rollouts_are_summarised_with_the_environments_types() -> None:
    trajectory = Trajectory(
        task="a",
        sample=0,
        setting=0,
        source=0,
        seed=0,
        instruction=0,
        observations=(0, 0, 0),
        outputs=(0, 0),
        thoughts=(-1, -1),
        actions=(0, -1),
        scores=(0.0, 1.0),
        valid=(True, False),
        score=1.0,
        success=True,
        end="done",
    )
    metrics = summarise(Rollouts(TextTable(["x"]), [trajectory]), {"a": "shoes"})
    assert metrics.types[0].name == "shoes"
    assert metrics.invalid is not None and metrics.invalid.value == 1.0


def test_a_score_that_is_no_number_counts_as_missing() -> None:
    trajectory = Trajectory(
        "a", 0, 0, 0, 0, 0, (0,), (), (), (), (), (), math.nan, False, "step-limit"
    )
    metrics = summarise(Rollouts(TextTable(["x"]), [trajectory]))
    assert (metrics.reward, metrics.unscored) == (None, 1)


def test_an_episode_without_a_single_step_is_still_an_episode() -> None:
    metrics = summarise_results([result("a", 0.0, curve=(), end="context-overflow")])
    assert metrics.reward is not None and metrics.reward.value == 0.0
    assert metrics.curve == ()


def test_the_bootstrap_is_the_same_for_the_same_seed_and_order_of_episodes() -> None:
    random = np.random.default_rng(0)
    episodes = [result(f"t{i}", float(score)) for i, score in enumerate(random.random(50))]
    first = summarise_results(episodes, seed=3)
    assert first == summarise_results(episodes[::-1], seed=3)
    assert first != summarise_results(episodes, seed=4)


def test_the_interval_agrees_with_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(5).beta(0.5, 0.5, size=200)
    mine = mean_interval(values, resamples=10_000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=1)
    assert mine.low == pytest.approx(theirs.confidence_interval.low, abs=0.004)
    assert mine.high == pytest.approx(theirs.confidence_interval.high, abs=0.004)


def test_the_bootstrap_error_of_a_published_example_is_reproduced() -> None:
    # Efron and Tibshirani 1993, chapter 2: survival of seven treated mice, mean 86.86; with
    # endlessly many resamples the bootstrap standard error is 23.36.
    means = bootstrap_means([94.0, 197, 16, 38, 99, 141, 23], resamples=20_000)
    assert means.mean() == pytest.approx(86.86, abs=0.6)
    assert means.std() == pytest.approx(23.36, abs=0.4)


def test_resampling_large_test_sets_in_pieces_keeps_every_draw_distinct() -> None:
    means = bootstrap_means(np.arange(5000.0), resamples=500)
    assert means.shape == (500, 1)
    assert len(np.unique(means)) > 490
    assert means.std() == pytest.approx(np.arange(5000.0).std() / math.sqrt(5000), rel=0.15)


def test_metrics_do_not_load_scipy_or_torch() -> None:
    program = (
        "import sys, tratree_cli.reporting.build_report, tratree_cli.reporting.render.terminal;"
        "print([m for m in ('scipy', 'torch', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
