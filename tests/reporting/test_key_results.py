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


def test_each_method_in_question_gets_its_sentence_and_its_controls(make_study: Study) -> None:
    tree, control, search = sentences(make_study(3))
    assert tree.startswith("W2SG tree-DPO earns 60.0, SFT strong 50.0: +10.0 [")
    assert "on the same 20 tasks" in tree
    assert control.startswith("W2SG tree-DPO beside its controls: +5.0 [")
    assert "against unstructured DPO (55.0)" in control
    assert search.startswith("W2SG MCTS earns 75.0")
    assert "over 3 training seeds a difference is shown (Welch, Holm: p = 0.0180)" in search


def test_one_seed_and_an_interval_that_holds_0_are_said(make: Maker) -> None:
    (one,) = sentences([make("sft-strong", [0.0, 1.0, 0.5]), make("mcts", [1.0, 0.0, 0.5])])
    assert "an interval that holds 0" in one
    assert "one training seed, so no test" in one


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
