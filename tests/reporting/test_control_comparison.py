"""Methods in question against their controls: values, table and verdict, by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.reporting.conftest import report_of
from tratree_cli.evaluation.artifact import Budget
from tratree_cli.evaluation.bootstrap import Interval
from tratree_cli.evaluation.compare import PairedDifference
from tratree_cli.methods.registry import method
from tratree_cli.reporting.baseline_comparison import against_baseline
from tratree_cli.reporting.cohort_figures import seed_means
from tratree_cli.reporting.cohorts import Cohort, cohorts
from tratree_cli.reporting.control_comparison import against_controls, strongest
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.reporting.verdicts import verdict, verdicts

Maker = Callable[..., EvaluationRow]
TASKS = 50


def runs(make: Maker, name: str, *solved: int, half: int = 0) -> list[EvaluationRow]:
    """A run a seed that solves so many of 50 tasks and gets half the reward of ``half`` more."""
    return [
        make(name, [1.0] * right + [0.5] * half + [0.0] * (TASKS - right - half), seed=seed)
        for seed, right in enumerate(solved)
    ]


def test_reward_and_strict_success_are_tested_by_themselves(make: Maker) -> None:
    # 80 and 84 against 70 and 72: Welch's p 0.0693; strict 70 and 74 against the same.
    own = runs(make, "mcts", 35, 37, half=10)
    groups = cohorts([*own, *runs(make, "sft-more", 35, 36), *runs(make, "best-observed", 30, 30)])
    best, more = against_controls(groups)
    assert (best.control.method, more.control.method) == ("best-observed", "sft-more")
    assert more.reward.difference is not None and more.reward.difference.value == 11.0
    assert more.strict.difference is not None and more.strict.difference.value == 1.0
    assert more.reward_test.p == pytest.approx(0.0693, abs=1e-4)
    assert more.strict_test.p is not None and more.strict_test.p > 0.5
    # Holm over the two comparisons of this table.
    assert best.reward_test.p is not None
    assert more.reward_p == pytest.approx(max(more.reward_test.p, 2 * best.reward_test.p, 0.0693))
    assert strongest([best, more], more.own) is more


def test_a_control_that_was_not_evaluated_is_passed_over(make: Maker) -> None:
    groups = cohorts([*runs(make, "mcts", 40), *runs(make, "sft-more", 30)])
    assert [one.control.method for one in against_controls(groups)] == ["sft-more"]
    assert against_controls(cohorts(runs(make, "mcts", 40))) == ()


def test_a_method_that_trains_like_a_control_stands_in_for_it(make: Maker) -> None:
    groups = cohorts([*runs(make, "tree-dpo", 40), *runs(make, "sft-more", 30)])
    (found,) = against_controls(groups)
    assert (found.own.method, found.control.method) == ("tree-dpo", "sft-more")
    apart = cohorts([*runs(make, "tree-dpo", 40), *runs(make, "tree-dpo/sft-more", 30)])
    (found,) = against_controls(apart)
    assert found.control.method == "tree-dpo/sft-more"


def test_orders_of_rows_within_a_seed_are_one_draw(make: Maker) -> None:
    first, second = runs(make, "mcts", 40, 42)
    again = replace(runs(make, "mcts", 30)[0], ref="another order")

    def reward(run: EvaluationRow) -> float | None:
        return run.evaluation.metrics.reward.value if run.evaluation.metrics.reward else None

    assert seed_means(Cohort((first, again, second)), reward) == (70.0, 84.0)
    scripted = Cohort((first.described(seed=None), second.described(seed=None)))
    assert seed_means(scripted, reward) == (80.0, 84.0)


def test_the_table_names_the_control_and_how_many_comparisons_there_were(make: Maker) -> None:
    rows = [*runs(make, "mcts", 40, 42), *runs(make, "sft-more", 35, 36)]
    (table,) = (t for t in report_of(rows).tables() if t.key == "controls-webshop-test")
    assert [cell.value for cell in table.rows[0].cells[:2]] == [
        "W2SG MCTS",
        "SFT strong, more updates",
    ]
    assert table.rows[0].cells[2].value == 11.0
    assert any("Holm-corrected for 1 comparison," in note for note in table.notes)
    (one_seed,) = (
        t
        for t in report_of([*runs(make, "mcts", 40), *runs(make, "sft-more", 35)]).tables()
        if t.key == "controls-webshop-test"
    )
    assert "Welch p" not in [column.title for column in one_seed.columns]
    assert "One seed, no test." in one_seed.notes


def said(make: Maker, difference: Interval, p: float | None, seeds: int = 1) -> str:
    own = Cohort(tuple(runs(make, "mcts", *[42] * seeds)))
    control = Cohort(tuple(runs(make, "sft-more", *[40] * seeds)))
    return verdict(own, control, PairedDifference(TASKS, difference), p)


@pytest.mark.parametrize(
    ("difference", "p", "seeds", "sentence"),
    [
        (
            Interval(4.1, 2.6, 5.7),
            0.044,
            3,
            "W2SG MCTS 84.0 is 4.1 [2.6, 5.7] above SFT strong, more updates (80.0) on the same 50 "
            "tasks, and over 3 training seeds (Welch, Holm: p = 0.0440): more training "
            "alone does less.",
        ),
        (
            Interval(4.1, 2.6, 5.7),
            0.12,
            3,
            "W2SG MCTS 84.0 is 4.1 [2.6, 5.7] above SFT strong, more updates (80.0) on the same 50 "
            "tasks, not shown over 3 training seeds (Welch, Holm: p = 0.1200).",
        ),
        (
            Interval(4.1, 2.6, 5.7),
            None,
            1,
            "W2SG MCTS 84.0 is 4.1 [2.6, 5.7] above SFT strong, more updates (80.0) on the same 50 "
            "tasks: more training alone does less; one seed, so no test over trainings.",
        ),
        (
            Interval(1.0, -0.5, 2.5),
            0.01,
            3,
            "W2SG MCTS 84.0 is not shown to be above SFT strong, more updates (80.0), +1.0 [−0.5, "
            "2.5] on the same 50 tasks: more training alone may do as much.",
        ),
        (
            Interval(-1.0, -2.5, 0.5),
            None,
            1,
            "W2SG MCTS 84.0 is no more than SFT strong, more updates (80.0), −1.0 [−2.5, 0.5] on "
            "the same 50 tasks: more training alone does as much.",
        ),
        (
            Interval(-3.0, -4.5, -1.5),
            None,
            1,
            "W2SG MCTS 84.0 is 3.0 [1.5, 4.5] below SFT strong, more updates (80.0) on the same 50 "
            "tasks: more training alone does more; one seed, so no test over trainings.",
        ),
    ],
)
def test_a_verdict_claims_what_the_intervals_and_seeds_show(
    make: Maker, difference: Interval, p: float | None, seeds: int, sentence: str
) -> None:
    assert said(make, difference, p, seeds) == sentence


def test_the_start_is_the_control_where_it_earns_more_than_all_others(make: Maker) -> None:
    rows = [
        *runs(make, "sft-strong", 45),
        *runs(make, "sft-more", 30),
        *runs(make, "mcts", 40),
    ]
    groups = cohorts(rows)
    (found,) = verdicts(groups, against_controls(groups), against_baseline(groups))
    assert found.control.method == "sft-strong"
    assert found.sentence.startswith("W2SG MCTS 80.0 is 10.0 [")
    assert "below SFT strong (90.0)" in found.sentence


def test_a_control_with_another_budget_is_said_to_have_one(make: Maker) -> None:
    own, control = runs(make, "mcts", 45)[0], runs(make, "sft-more", 30)[0]
    groups = cohorts([own.described(budget=Budget(160, 2400, 30)), control])
    (found,) = verdicts(groups, against_controls(groups), None)
    assert found.sentence.endswith("Its data beside that: +1,200 episodes, −30 updates.")


def test_every_control_says_what_it_stands_for() -> None:
    for name in ("tree-dpo", "mcts", "tree-joint"):
        assert all(method(control).alternative for control in method(name).controls)


def test_strict_success_is_said_where_it_is_not_the_same_as_success(make: Maker) -> None:
    own = runs(make, "mcts", 35, 37, half=10)
    groups = cohorts([*own, *runs(make, "sft-more", 30, 31)])
    (found,) = verdicts(groups, against_controls(groups), None)
    assert "In strict success: +11.0 [" in found.sentence
    assert found.sentence.count("(Welch, Holm: p = ") == 2
    same = cohorts([*runs(make, "mcts", 35), *runs(make, "sft-more", 30)])
    (found,) = verdicts(same, against_controls(same), None)
    assert "strict" not in found.sentence
