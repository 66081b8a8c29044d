"""Tests across seeds: against scipy, by hand, and with inputs that allow none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tratree_cli.evaluation.significance import ONE_SEED, hedges_g, holm, paired, welch

OWN = [56.1, 57.4, 56.9, 55.8, 58.2]
BASELINE = [51.2, 50.4, 51.9, 50.8, 50.6]


def test_welch_agrees_with_its_formula_by_hand() -> None:
    # Means 3 and 6, variances 2.5 and 1: t = -3 / sqrt(2.5/5 + 1/3).
    result = welch([1, 2, 3, 4, 5], [5, 6, 7])
    standard_error = math.sqrt(2.5 / 5 + 1 / 3)
    freedom = (2.5 / 5 + 1 / 3) ** 2 / ((2.5 / 5) ** 2 / 4 + (1 / 3) ** 2 / 2)
    assert result.statistic == pytest.approx(-3 / standard_error)
    assert result.freedom == pytest.approx(freedom)
    assert result.p == pytest.approx(2 * stats.t.sf(3 / standard_error, freedom))


def test_the_published_example_of_student_1908_is_reproduced() -> None:
    # Hours of sleep gained under two drugs (Student 1908, Cushny and Peebles' data).
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    unpaired = welch(second, first)
    assert unpaired.p == pytest.approx(0.07939, abs=5e-6)
    assert unpaired.freedom == pytest.approx(17.776, abs=5e-4)
    matched = paired(dict(enumerate(second)), dict(enumerate(first)))
    assert matched.statistic == pytest.approx(4.0621, abs=5e-5)
    assert matched.p == pytest.approx(0.002833, abs=5e-7)


def test_a_paired_test_uses_only_seeds_that_both_have() -> None:
    own = {0: 3.0, 1: 5.0, 2: 4.5, 9: 100.0}
    baseline = {0: 1.0, 1: 2.0, 2: 2.5, 7: -100.0}
    expected = stats.ttest_rel([3.0, 5.0, 4.5], [1.0, 2.0, 2.5])
    assert paired(own, baseline).p == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(
    ("own", "baseline", "sentence"),
    [
        ([1.0], [1.0, 2.0], ONE_SEED),
        ([], [1.0, 2.0], "no runs, no test"),
        ([1.0, math.nan], [1.0, 2.0], "a run has no reward, no test"),
        ([2.0, 2.0], [2.0, 2.0], "all runs are equal, no test"),
        ([3.0, 3.0], [2.0, 2.0], "the difference is the same for every seed"),
    ],
)
def test_inputs_that_allow_no_test_give_a_sentence(
    own: list[float], baseline: list[float], sentence: str
) -> None:
    result = welch(own, baseline)
    assert result.p is None
    assert result.note.startswith(sentence)
    assert paired(dict(enumerate(own)), dict(enumerate(baseline))).p is None


def test_holm_steps_down_and_never_decreases() -> None:
    # Sorted: .01*4, .02*3, .03*2, .05*1 -> running maximum.
    assert holm([0.05, 0.01, None, 0.03, 0.02]) == pytest.approx((0.06, 0.04, None, 0.06, 0.06))
    assert holm([]) == ()
    assert holm([None]) == (None,)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_is_at_least_the_raw_value_and_keeps_its_order(values: list[float]) -> None:
    adjusted = holm(values)
    for raw, corrected in zip(values, adjusted, strict=True):
        assert corrected is not None
        assert raw <= corrected <= 1
    for first, second in zip(*[iter(sorted(zip(values, adjusted, strict=True)))] * 2, strict=False):
        assert first[1] <= second[1]  # type: ignore[operator]


def test_hedges_g_is_cohens_d_corrected_for_few_runs() -> None:
    # Both variances 1, difference 2: d = 2, correction 1 - 3 / (4 * 6 - 9).
    assert hedges_g([3, 4, 5], [1, 2, 3]) == pytest.approx(2 * (1 - 3 / 15))
    assert hedges_g([1.0], [2.0, 3.0]) is None
    assert hedges_g([2.0, 2.0], [2.0, 2.0]) is None


def test_welch_agrees_with_scipy() -> None:
    expected = stats.ttest_ind(OWN, BASELINE, equal_var=False)
    assert welch(OWN, BASELINE).p == pytest.approx(expected.pvalue)


def test_hedges_g_reproduces_a_published_example() -> None:
    # Borenstein et al. 2009, Introduction to Meta-Analysis, chapter 4: means 103 and 100,
    # standard deviations 5.5 and 4.5, fifty in each group: d = 0.5970, g = 0.5924.
    def group(mean: float, spread: float) -> list[float]:
        half = spread * math.sqrt(49 / 50)
        return [mean - half, mean + half] * 25

    assert hedges_g(group(103, 5.5), group(100, 4.5)) == pytest.approx(0.5924, abs=5e-5)


def test_holm_gives_what_rs_p_adjust_documents() -> None:
    adjusted = holm([0.01, 0.02, 0.03, 0.04, 0.05])
    assert adjusted == pytest.approx((0.05, 0.08, 0.09, 0.09, 0.09))


def test_runs_that_differ_equally_for_every_seed_have_no_paired_test() -> None:
    own, baseline = {0: 1.0, 1: 2.0, 2: 4.0}, {0: 0.5, 1: 1.5, 2: 3.5}
    assert paired(own, baseline).note.startswith("the difference is the same for every seed")
    assert paired(own, own).note == "all runs are equal, no test"
    # Where one rises as much as the other falls their differences vary.
    assert paired({0: 1.0, 1: 2.0, 2: 4.0}, {0: 3.0, 1: 2.0, 2: 0.0}).p is not None
    assert paired({1: 1.0, 2: 2.0}, {3: 1.0}).note == "no seed in common, no paired test"
    assert paired({1: 1.0, 2: 2.0}, {2: 1.0}).note == ONE_SEED


def test_two_runs_on_each_side_are_enough_for_a_test() -> None:
    expected = stats.ttest_ind([1.0, 2.0], [4.0, 6.0], equal_var=False)
    assert welch([1.0, 2.0], [4.0, 6.0]).p == pytest.approx(expected.pvalue)
    assert hedges_g([1.0, 2.0], [4.0, 6.0]) == pytest.approx(
        (1.5 - 5.0) / math.sqrt((0.5 + 2.0) / 2) * (1 - 3 / (4 * 4 - 9))
    )


def test_hedges_g_weighs_the_spread_of_each_side_by_its_runs() -> None:
    # Variances 1 (three runs) and 12.5 (two): pooled (2 * 1 + 1 * 12.5) / 3.
    pooled = (2 * 1.0 + 1 * 12.5) / 3
    expected = (2.0 - 7.5) / math.sqrt(pooled) * (1 - 3 / (4 * 5 - 9))
    assert hedges_g([1.0, 2.0, 3.0], [5.0, 10.0]) == pytest.approx(expected)
    assert hedges_g([1.0, 2.0], [math.nan, 1.0]) is None
    assert hedges_g([1.0, 2.0], [1.0]) is None
