"""Notes, sample numbers and settings of an evaluation where a case is just one or none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.trees.making import SHOP
from tratree_cli.evaluation.bootstrap import (
    Interval,
    bootstrap_means,
    mean_interval,
    mean_over_runs_intervals,
)
from tratree_cli.evaluation.compare import paired_difference, performance_gap_recovered
from tratree_cli.evaluation.metrics import (
    best_of_n,
    summarise,
    summarise_results,
    task_curves,
    task_rewards,
)
from tratree_cli.evaluation.results import EpisodeResult, episode_results
from tratree_cli.evaluation.significance import welch


def result(
    task: str, score: float | None, *, sample: int = 0, setting: int = 0, **fields: Any
) -> EpisodeResult:
    curve = fields.get("curve", (score or 0.0,))
    return EpisodeResult(
        task, "shoes", sample, setting, score, bool(score), len(curve), 0, "done", curve
    )


def test_figures_of_several_scored_tasks_that_differ_need_no_note() -> None:
    assert summarise_results([result("a", 1.0), result("b", 0.0)]).notes == ()


def test_what_has_no_score_is_counted_by_episode_and_by_task() -> None:
    some = [result("a", 1.0), result("b", 0.0), result("b", None, sample=1), result("c", None)]
    assert summarise_results(some).notes == (
        "2 of 4 episodes have no score and are left out of all figures.",
        "1 tasks have no scored episode at all.",
    )


def test_one_task_is_said_to_have_no_interval_and_two_equal_ones_no_width() -> None:
    (one,) = summarise_results([result("a", 1.0)]).notes
    (equal,) = summarise_results([result("a", 1.0), result("b", 1.0)]).notes
    assert "One task only" in one
    assert "same reward" in equal


def test_fewer_samples_than_n_are_said_and_as_many_are_not() -> None:
    samples = [result(task, float(n), sample=n) for task in "ab" for n in range(2)]
    assert summarise_results(samples, best_of=2).notes == ()
    assert any("fewer than 3" in note for note in summarise_results(samples, best_of=3).notes)


def test_the_best_of_one_sample_is_its_first_and_of_none_an_error() -> None:
    samples = [result("a", 0.25), result("a", 1.0, sample=1), result("b", 0.5)]
    assert task_rewards(samples, best_of=1) == {"a": 0.25, "b": 0.5}
    assert summarise_results(samples, best_of=1).aggregation == "best-of-1"
    with pytest.raises(ValueError, match="at least 1"):
        summarise_results(samples, best_of=0)


@pytest.mark.parametrize(
    ("samples", "numbers"),
    [(1, []), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 4]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])],
)
def test_best_of_n_is_given_for_powers_of_two_and_for_all_samples(
    samples: int, numbers: list[int]
) -> None:
    episodes = [result(t, n / 8, sample=n) for t in "ab" for n in range(samples)]
    assert list(summarise_results(episodes).best_of or {}) == numbers


def test_the_fewest_samples_of_any_task_decide_up_to_which_n_best_of_n_goes() -> None:
    episodes = [result("a", n / 8, sample=n) for n in range(4)] + [
        result("b", n / 8, sample=n) for n in range(2)
    ]
    assert list(summarise_results(episodes).best_of or {}) == [1, 2]


def test_best_of_n_of_one_sample_is_that_sample() -> None:
    assert best_of_n([0.25], 1) == best_of_n([0.25], 8) == 0.25


def test_settings_are_named_by_what_they_are_and_unknown_ones_by_number() -> None:
    settings = [{"temperature": 0}, {"top_p": 0.9, "temperature": 1.0}]
    numbers = [0, 1, 2, -1]
    episodes = [result(t, 0.5, sample=n, setting=n) for t in "ab" for n in numbers]
    found = summarise_results(episodes, settings=settings)
    names = {group.name for group in found.settings}
    assert names == {"greedy", "temperature=1.0 top_p=0.9", "setting 2", "setting -1"}


def test_a_curve_keeps_the_last_score_and_not_the_last_step() -> None:
    curves = task_curves([result("a", 1.0, curve=(0.0, 0.5, 0.75))], length=5)
    assert curves["a"].tolist() == [0.0, 0.5, 1.0, 1.0, 1.0]


def test_the_interval_leaves_as_much_on_both_sides() -> None:
    values = np.random.default_rng(3).normal(size=400)
    wide, narrow = (mean_interval(values, level=level, seed=1) for level in (0.95, 0.5))
    assert wide.low is not None and wide.high is not None
    assert narrow.low is not None and narrow.high is not None
    error = float(values.std(ddof=0)) / 20
    for interval, quantile in ((wide, 1.96), (narrow, 0.674)):
        assert interval.low is not None and interval.high is not None
        assert interval.value - interval.low == pytest.approx(quantile * error, rel=0.15)
        assert interval.high - interval.value == pytest.approx(quantile * error, rel=0.15)


@pytest.mark.filterwarnings("ignore:Precision loss")
def test_runs_of_one_method_that_do_not_vary_can_still_be_tested_against_others_that_do() -> None:
    found = welch([0.5, 0.5, 0.5], [0.1, 0.2, 0.3])
    assert found.note == "" and found.p is not None and found.p < 0.1
    assert welch([0.5, 0.5], [0.1, 0.1]).note


def test_runs_count_alike_however_many_cases_a_run_has() -> None:
    # Run one has two cases of task a and one of b (sums 1.0 and 0.0); run two one case of b only.
    counts = [[2, 0], [1, 1]]
    sums = [[[1.0, 4.0], [0.0, 0.0]], [[0.0, 2.0], [1.0, 6.0]]]
    first, second = mean_over_runs_intervals(sums, counts)
    assert first.value == pytest.approx((1.0 / 3 + 1.0) / 2)
    assert second.value == pytest.approx((6.0 / 3 + 6.0) / 2)
    assert first.low is not None and first.high is not None and first.low <= first.high


def test_one_run_over_tasks_gives_the_interval_of_its_tasks() -> None:
    values = np.random.default_rng(5).uniform(size=60)
    (over_runs,) = mean_over_runs_intervals(values[:, None, None], np.ones((60, 1)), seed=4)
    alone = mean_interval(values, seed=4)
    assert (over_runs.low, over_runs.value, over_runs.high) == pytest.approx(
        (alone.low, alone.value, alone.high)
    )


def test_two_tasks_have_an_interval_and_one_has_none() -> None:
    (one,) = mean_over_runs_intervals([[[1.0]]], [[1]])
    (two,) = mean_over_runs_intervals([[[1.0]], [[0.0]]], [[1], [1]])
    assert (one.value, one.low) == (1.0, None)
    assert (two.low, two.high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="no case"):
        mean_over_runs_intervals([[[0.0]]], [[0]])


@pytest.mark.parametrize(
    ("own", "recovered", "note"),
    [(0.2, 0.0, ""), (0.6, 1.0, ""), (0.1, -0.25, "Below 0"), (0.7, 1.25, "")],
)
def test_the_recovered_gap_has_a_note_outside_0_to_1_and_none_at_its_ends(
    own: float, recovered: float, note: str
) -> None:
    found = performance_gap_recovered(own, 0.2, 0.6)
    assert found.recovered == pytest.approx(recovered)
    assert found.note.startswith(note) and bool(found.note) == (not 0 <= recovered <= 1)


def test_figures_say_how_they_were_drawn_and_by_default_that_is_what_the_page_says() -> None:
    episodes = [result(task, n**3 / 343) for n, task in enumerate("abcdefgh")]
    found = summarise_results(episodes)
    assert (found.level, found.resamples, found.seed) == (0.95, 2000, 0)
    assert found == summarise_results(episodes, level=0.95, resamples=2000, seed=0)
    assert found.reward != summarise_results(episodes, seed=1).reward
    values = [n**3 / 343 for n in range(8)]
    assert mean_interval(values) == mean_interval(values, resamples=2000, level=0.95, seed=0)
    assert np.array_equal(bootstrap_means(values), bootstrap_means(values, resamples=2000, seed=0))
    table = np.array(values)[:, None, None]
    assert mean_over_runs_intervals(table, np.ones((8, 1))) == mean_over_runs_intervals(
        table, np.ones((8, 1)), resamples=2000, level=0.95, seed=0
    )
    own = {task: n**3 / 343 for n, task in enumerate("abcdefgh")}
    none = dict.fromkeys(own, 0.0)
    assert paired_difference(own, none) == paired_difference(
        own, none, resamples=2000, level=0.95, seed=0
    )


def test_rollouts_are_summarised_like_their_results() -> None:
    found = summarise(SHOP)
    assert found == summarise_results(episode_results(SHOP), settings=SHOP.settings)
    assert found == summarise(SHOP, level=0.95, resamples=2000, seed=0)
    assert (found.tasks, found.episodes, found.unscored) == (2, 7, 1)


def test_without_a_scored_episode_there_is_no_figure() -> None:
    for episodes, unscored in (([], 0), ([result("a", None)], 1)):
        found = summarise_results(episodes, seed=3)
        assert (found.tasks, found.episodes, found.unscored, found.seed) == (0, 0, unscored, 3)
        assert found.reward is None and found.curve == () and found.notes


def test_no_figure_is_minus_zero() -> None:
    assert str(Interval(-0.0, -1e-9, None).scaled(100)) == str(Interval(0.0, 0.0, None))
    assert str(mean_interval([-1e-9, -1e-9])) == str(Interval(0.0, 0.0, 0.0))


def test_a_figure_has_six_decimals() -> None:
    assert Interval(1 / 3, 1 / 7, 2 / 3).scaled(1) == Interval(0.333333, 0.142857, 0.666667)


def test_an_episode_is_perfect_if_it_got_all_there_is_to_get() -> None:
    scores = [1.0, 1.0 - 1e-12, 0.999, None]
    assert [result("a", score).perfect for score in scores] == [True, True, False, False]


def test_the_numbers_of_an_episode_are_those_of_its_trajectory() -> None:
    (first, *_, broken, _, _) = episode_results(SHOP, {"mug": "kitchen"})
    assert first == EpisodeResult(
        "mug", "kitchen", 0, 0, 1.0, True, 3, 0, "done", (1.0, 1.0, 1.0)
    )  # fmt: skip
    assert (broken.score, broken.success, broken.type) == (None, False, "kitchen")
    assert episode_results(SHOP)[0].type == "other"
    odd = replace(SHOP.trajectories[0], valid=(True, False, False), score=float("nan"))
    (unmeasured,) = episode_results(replace(SHOP, trajectories=[odd]))
    assert (unmeasured.invalid, unmeasured.score, unmeasured.success) == (2, None, False)


@pytest.mark.parametrize("length", [3, 4])
def test_curves_of_different_lengths_end_with_the_final_score(length: int) -> None:
    episodes = [result("a", 1.0, curve=(0.0, 0.5)), result("b", 0.25, curve=(0.5,))]
    curves = task_curves(episodes, length=length)
    assert curves["a"].tolist() == [0.0] + [1.0] * (length - 1)
    assert curves["b"].tolist() == [0.25] * length


def test_a_result_without_a_curve_has_figures_and_no_curve() -> None:
    found = summarise_results([result("a", 1.0, curve=()), result("b", 0.0, curve=())])
    assert found.curve == ()
    assert found.steps == Interval(0.0, 0.0, 0.0)


def test_tasks_that_one_side_lacks_are_counted_and_left_out() -> None:
    own = {"a": 1.0, "b": 0.5, "c": 0.25, "x": float("nan")}
    other = {"a": 0.5, "b": 0.75, "c": 0.25, "y": 1.0}
    found = paired_difference(own, other)
    assert (found.tasks, found.better, found.worse) == (3, 1, 1)
    assert found.note.startswith("2 tasks are scored for only one")
    assert found.difference is not None
    assert found.difference.value == pytest.approx(100 * (0.5 - 0.25 + 0.0) / 3, abs=1e-3)
    same = paired_difference({"a": 0.5, "b": 0.5}, {"a": 0.5, "b": 0.5})
    assert (same.better, same.worse, same.note) == (0, 0, "Equal on every task.")
    one = paired_difference({"a": 1.0}, {"a": 0.5})
    assert (one.tasks, one.better, one.note) == (1, 1, "One common task only: no interval.")


@pytest.mark.parametrize("missing", range(3))
def test_a_gap_of_which_one_side_is_not_known_is_not_recovered(missing: int) -> None:
    figures: list[float | None] = [0.5, 0.2, 0.6]
    figures[missing] = None
    found = performance_gap_recovered(*figures)
    assert found.recovered is None and found.note
