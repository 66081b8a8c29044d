"""The results file of a study, and the script that does its statistics anew from nothing else."""

from __future__ import annotations

import csv
import importlib.util
import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reporting.conftest import report_of
from tratree_cli.evaluation.significance import holm, welch
from tratree_cli.reporting.document import document_from
from tratree_cli.reporting.render.results import render
from tratree_cli.reporting.rows import EvaluationRow

Maker = Callable[..., EvaluationRow]
Study = Callable[..., list[EvaluationRow]]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """``docs/study/recompute.py``, which imports nothing of tratree."""
    spec = importlib.util.spec_from_file_location("recompute", ROOT / "docs/study/recompute.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["recompute"] = module
    spec.loader.exec_module(module)
    return module


def lines(*rows: EvaluationRow) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render(report_of(rows)))))


def test_a_study_has_a_line_for_each_evaluation_in_a_fixed_order(make: Maker) -> None:
    rows = [
        make("mcts", [1.0, 0.5], seed=1),
        make("mcts", [1.0, 0.25], seed=0),
        make("sft-strong", [0.5, 0.0], seed=0),
        make("expert", [1.0, 1.0], seed=None),
        make("mcts", [1.0, 0.0], seed=0, environment="alfworld"),
    ]
    text = render(report_of(rows))
    assert text == render(report_of(rows[::-1]))
    assert text.splitlines() == [
        "environment,split,method,variant,seed,data_seed,tasks,reward,success,strict,finished",
        "alfworld,test,mcts,,0,0,2,50.0000,50.0000,50.0000,100.0000",
        "webshop,test,expert,,,,2,100.0000,100.0000,100.0000,100.0000",
        "webshop,test,sft-strong,,0,0,2,25.0000,50.0000,0.0000,100.0000",
        "webshop,test,mcts,,0,0,2,62.5000,100.0000,50.0000,100.0000",
        "webshop,test,mcts,,1,1,2,75.0000,100.0000,50.0000,100.0000",
    ]


def test_a_variant_is_a_control_a_setting_or_another_base_model(make: Maker) -> None:
    found = lines(
        make("sft-strong", [1.0], family="m"),
        make("mcts", [1.0], family="m", parameters={"explore.m": 6}),
        make("mcts", [1.0], family="m", parameters={"explore.m": 3}, varied=("explore.m",)),
        make("mcts", [1.0], family="l"),
        make("tree-dpo/nll-only", [1.0], family="m"),
    )
    assert [(line["method"], line["variant"]) for line in found] == [
        ("sft-strong", ""),
        ("tree-dpo", "nll-only"),
        ("mcts", ""),
        ("mcts", "explore.m=3"),
        ("mcts", "models.strong=l"),
    ]


def test_an_order_of_rows_of_its_own_stands_beside_the_seed(make: Maker) -> None:
    rows = [make("mcts", [1.0], seed=3, data_seed=order) for order in (2, None, 0)]
    found = [(line["seed"], line["data_seed"]) for line in lines(*rows)]
    assert found == [("3", "0"), ("3", "2"), ("3", "3")]


def test_a_policy_without_a_score_has_empty_figures(make: Maker) -> None:
    (line,) = lines(make("mcts", []))
    assert (line["tasks"], line["reward"], line["finished"]) == ("0", "", "")


def test_names_from_outside_are_no_formulas(make: Maker) -> None:
    (line,) = lines(make("=1+1", [1.0], label="=1+1"))
    assert line["method"] == "'=1+1"


def test_a_stored_report_keeps_its_lines(make: Maker) -> None:
    report = report_of([make("mcts", [1.0, 0.5])])
    stored = orjson.loads(orjson.dumps(report.to_json()))
    assert document_from(stored).results == report.results
    del stored["results"]  # as earlier versions wrote it
    assert document_from(stored).results == ()


RESULTS = """environment,split,method,variant,seed,data_seed,tasks,reward,success,strict,finished
webshop,test,sft-strong,,0,0,500,70.0,90.0,40.0,95.0
webshop,test,sft-strong,,1,1,500,72.0,90.0,42.0,95.0
webshop,test,mcts,,0,0,500,79.0,90.0,60.0,95.0
webshop,test,mcts,,0,1,500,81.0,90.0,60.0,95.0
webshop,test,mcts,,1,1,500,84.0,90.0,60.0,95.0
webshop,test,mcts,explore.m=3,0,0,500,75.0,90.0,60.0,95.0
"""


def test_the_script_averages_orders_within_seeds_before_the_test(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.csv"
    path.write_text(RESULTS)
    assert script.main([str(path), str(path)]) == 0
    # By hand: 80 and 84 against 70 and 72; t = 11 / sqrt(8/2 + 2/2) = 4.9193, df = 25 / 17.
    assert capsys.readouterr().out.splitlines()[3:] == [
        "| policy | reward | seeds | − sft-strong | Welch p | Holm |",
        "| --- | --- | --- | --- | --- | --- |",
        "| sft-strong | 71.0 ± 1.4 | 2 |  |  |  |",
        "| mcts | 82.0 ± 2.8 | 2 | +11.0 | 0.0693 | 0.0693 |",
    ]
    assert script.main([str(path), "--figure", "strict", "--variants"]) == 0
    out = capsys.readouterr().out
    assert "| mcts | 60.0 ± 0.0 | 2 | +19.0 |" in out
    assert "| mcts/explore.m=3 | 60.0 | 1 | +19.0 | no test | no test |" in out
    assert script.main([str(path), "--against", "sft-more"]) == 0
    assert "+" not in capsys.readouterr().out


runs = st.lists(st.integers(0, 1000).map(lambda tenth: tenth / 10), min_size=2, max_size=6)


@settings(deadline=None)
@given(runs, runs)
def test_the_script_and_the_report_have_one_p(
    script: ModuleType, own: list[float], other: list[float]
) -> None:
    theirs, ours = script.welch(own, other), welch(own, other).p
    if theirs is not None and ours is not None:
        assert theirs == pytest.approx(ours, rel=1e-6, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(0, 1), max_size=8))
def test_the_script_and_the_report_correct_alike(
    script: ModuleType, p_values: list[float | None]
) -> None:
    assert tuple(script.holm(p_values)) == holm(p_values)


def test_the_script_makes_the_reports_main_table(
    script: ModuleType, tmp_path: Path, make_study: Study
) -> None:
    report = report_of(make_study(3))
    path = tmp_path / "results.csv"
    path.write_text(render(report))
    ((_, policies),) = script.read([path], "reward").items()
    compared = report.section("comparison")
    assert compared is not None
    (table,) = compared.blocks
    names = {"tree-dpo": "W2SG tree-DPO", "mcts": "W2SG MCTS", "ceiling": "ceiling"}
    titles = [column.title for column in table.columns]  # type: ignore[union-attr]
    shown = {row.cells[0].value: row.cells for row in table.rows}  # type: ignore[union-attr]
    base = list(policies[script.Policy("sft-strong", "")].values())
    for method, name in names.items():
        own = list(policies[script.Policy(method, "")].values())
        difference = shown[name][titles.index("Difference")].value
        assert sum(own) / 3 - sum(base) / 3 == pytest.approx(difference)
