"""The sentences above the tables: made for every method alike, never kinder than the figures."""

from __future__ import annotations

from collections.abc import Callable

from tests.reporting.conftest import report_of
from tratree_cli.reporting.rows import EvaluationRow

Maker = Callable[..., EvaluationRow]
Study = Callable[..., list[EvaluationRow]]


def sentences(rows: list[EvaluationRow]) -> tuple[str, ...]:
    section = report_of(rows).section("summary")
    assert section is not None
    return section.text


def test_each_method_in_question_is_weighed_first_and_then_set_against_the_baseline(
    make_study: Study,
) -> None:
    tree, search, baseline = sentences(make_study(3))
    assert tree.startswith("W2SG tree-DPO 60.0 is not shown to be above unstructured DPO (55.0)")
    assert search.startswith("W2SG MCTS 75.0 is 25.0 [")
    assert search.endswith("No control of it stands in this report.")
    assert baseline.startswith("W2SG tree-DPO earns 60.0, SFT strong 50.0: +10.0 [")
    assert "on the same 20 tasks" in baseline
    assert "over 3 training seeds no difference is shown (Welch, Holm: p = 0.1410)" in baseline


def test_several_controls_stand_in_one_sentence(make_study: Study, make: Maker) -> None:
    solved = {"sft-more": 14, "best-observed": 12}
    controls = [
        make(method, [float(i < right) for i in range(20)], seed=seed)
        for method, right in solved.items()
        for seed in range(3)
    ]
    beside = sentences([*make_study(3), *controls])[-1]
    assert beside.startswith("W2SG MCTS beside its controls: +15.0 [")
    assert "against best observed (60.0); +5.0 [" in beside
    assert beside.endswith("against SFT strong, more updates (70.0).")


def test_one_seed_and_an_interval_that_holds_0_are_said(make: Maker) -> None:
    rows = [
        make("sft-strong", [0.0, 1.0, 0.5]),
        make("unstructured-dpo", [0.5, 1.0, 0.5]),
        make("tree-dpo", [1.0, 0.0, 0.5]),
    ]
    verdict, baseline = sentences(rows)
    assert "is no more than unstructured DPO (66.7), −16.7 [" in verdict
    assert "an interval that holds 0" in baseline
    assert "one training seed, so no test" in baseline


def test_without_a_baseline_or_a_score_there_is_nothing_to_say(make: Maker) -> None:
    assert sentences([make("mcts", [1.0, 0.0])]) == ()
    assert sentences([make("mcts", [1.0, 0.0]), make("sft-strong", [])]) == ()


def test_two_environments_are_told_apart(make: Maker) -> None:
    rows = [
        make(method, [0.0, 1.0], environment=where)
        for where in ("webshop", "alfworld")
        for method in ("sft-strong", "tree-dpo")
    ]
    first, second = sentences(rows)
    assert first.startswith("WebShop: W2SG tree-DPO") and second.startswith("ALFWorld: ")
