"""Rows that differ in a setting, a base model or a split are never taken for one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.reporting.conftest import report_of
from tratree_cli.display.blocks import Figure, Table
from tratree_cli.reporting.document import ReportDocument
from tratree_cli.reporting.published import PAPER
from tratree_cli.reporting.rows import EvaluationRow

Maker = Callable[..., EvaluationRow]


def table(report: ReportDocument, key: str) -> Table:
    return next(one for one in report.tables() if one.key == key)


def figure_4(report: ReportDocument) -> Figure:
    return next(one for one in report.figures() if one.key == "figure-4")


def cell(
    make: Maker, m: int, solved: int, weak: str = "small", split: str = "dev"
) -> EvaluationRow:
    """MCTS with so many trajectories a task; 6 are the recipe's own."""
    return make(
        "mcts",
        [float(i < solved) for i in range(10)],
        parameters={"explore.m": m},
        varied=() if m == 6 else ("explore.m",),
        weak=weak,
        split=split,
    )


def test_figure_4_is_of_one_weak_model_and_one_split_a_line(make: Maker) -> None:
    report = report_of(
        [
            *(cell(make, m, solved) for m, solved in ((3, 4), (6, 5), (10, 6))),
            cell(make, 6, 9, split="test"),
            cell(make, 6, 10, weak="medium"),
        ]
    )
    figure = figure_4(report)
    assert [one.name for one in figure.series] == ["W2SG MCTS, WebShop dev"]
    assert [(p.x, p.y) for p in figure.series[0].points] == [(3, 40.0), (6, 50.0), (10, 60.0)]
    assert "best with 10" in figure.alt


def test_settings_stand_in_the_order_of_their_values_whenever_they_were_made(make: Maker) -> None:
    # SFT strong has no weak model, which makes no second one.
    other = make("sft-strong", [1.0], split="dev", varied=("eval.samples",))
    report = report_of([*(cell(make, m, 5) for m in (10, 3, 8, 6)), other])
    settings = [row.cells[1].value for row in table(report, "sweep").rows]
    own = "the recipe's own"
    assert settings == ["eval.samples=None", own, "explore.m=3", "explore.m=8", "explore.m=10"]


def test_a_grid_over_models_and_settings_has_a_row_for_every_cell(make: Maker) -> None:
    solved = {("small", 6): 1, ("small", 8): 2, ("medium", 6): 3, ("medium", 8): 4}
    report = report_of([cell(make, m, n, weak) for (weak, m), n in solved.items()])
    shown = {row.cells[1].value: row.cells[2].value for row in table(report, "sweep").rows}
    assert shown == {
        "the recipe's own, small": 10.0,
        "explore.m=8, small": 20.0,
        "the recipe's own, medium": 30.0,
        "explore.m=8, medium": 40.0,
    }


def test_every_place_names_its_split_where_one_must(make: Maker) -> None:
    report = report_of(
        [
            make("sft-strong", [1.0, 0.0]),
            make("sft-strong", [1.0, 0.0], split="dev"),
            make("sft-strong", [1.0, 0.0], environment="alfworld"),
        ]
    )
    titles = [one.title for one in report.tables() if one.key.startswith("types-")]
    assert titles == [
        f"Average reward by type of task, {where}"
        for where in ("WebShop test", "WebShop dev", "ALFWorld test")
    ]


def test_the_longer_side_of_policies_and_types_goes_down_the_page(make: Maker) -> None:
    few = report_of([make("mcts", [1.0, 0.0, 1.0])])
    assert [c.title for c in table(few, "types-webshop-test").columns][:2] == ["Type", "Tasks"]
    many = report_of([make(name, [1.0, 0.0, 1.0]) for name in ("random", "sft-weak", "mcts")])
    found = table(many, "types-webshop-test")
    assert [c.title for c in found.columns] == ["Policy", "shirts (2)", "shoes (1)"]
    assert [(r.cells[0].value, r.cells[1].value) for r in found.rows] == [
        ("random", 100.0),
        ("SFT weak", 100.0),
        ("W2SG MCTS", 100.0),
    ]


def test_environments_with_models_of_their_own_are_no_comparison_of_models(make: Maker) -> None:
    shop = {"environment": "webshop", "family": "shop-m", "weak": "shop-s"}
    rooms = {"environment": "alfworld", "family": "rooms-m", "weak": "rooms-s"}
    rows = [make(m, [1.0, 0.0], **at) for at in (shop, rooms) for m in ("sft-weak", "mcts")]
    keys = {one.key for one in report_of(rows).tables()}
    assert not keys & {"tables-2-4-8", "tables-6-7"}
    other = make("mcts", [1.0, 0.0], **{**rooms, "family": "rooms-l", "weak": "rooms-m"})
    keys = {one.key for one in report_of([*rows, other]).tables()}
    assert keys >= {"tables-2-4-8", "tables-6-7"}


def test_a_policy_whose_episodes_all_ended_keeps_its_score_in_figure_3(make: Maker) -> None:
    short = make("sft-weak", [1.0, 0.0])
    long = make("mcts", [1.0, 1.0])
    curve = long.evaluation.metrics.curve
    longer = replace(long.evaluation.metrics, curve=(*curve, curve[-1], curve[-1]))
    long = replace(long, evaluation=replace(long.evaluation, metrics=longer))
    figure = next(f for f in report_of([short, long]).figures() if "Fig. 3" in f.title)
    assert [len(one.points) for one in figure.series] == [5, 5]
    assert [p.y for p in figure.series[0].points] == [0.0, 25.0, 50.0, 50.0, 50.0]


def test_a_warning_names_its_row_unless_several_rows_share_it(make: Maker) -> None:
    shared = ("from the base model",)
    report = report_of(
        [
            make("mcts", [1.0, 0.0], seed=0, warnings=shared),
            make("mcts", [1.0, 0.0], seed=1, warnings=(*shared, "88% saturated")),
        ]
    )
    assert report.warnings == (
        "mcts: from the base model",
        "mcts, WebShop test, seed 1: 88% saturated",
    )


def test_rewards_by_type_are_counted_as_the_reward_is(make: Maker) -> None:
    """Over seeds with an interval, and of the best sample where the best of N is asked for."""
    scores = ([1.0, 0.0, 1.0, 0.0], [0.0] * 4)
    seeds = [make("sft-strong", one, seed=seed) for seed, one in enumerate(scores)]
    worse = make("best-of-n", [0.0] * 4, best_of=2)
    better = [replace(r, sample=1, score=1.0) for r in worse.evaluation.results if r.task != "t1"]
    both = (*worse.evaluation.results, *better)
    best = replace(worse, evaluation=replace(worse.evaluation, results=both))
    found = table(report_of([*seeds, best]), "types-webshop-test")
    shown = {row.cells[0].value: row.cells[1:] for row in found.rows}
    assert [c.title for c in found.columns] == ["Policy", "shirts (2)", "shoes (2)"]
    assert [cell.value for cell in shown["SFT strong"]] == [50.0, 0.0]
    assert [cell.value for cell in shown["SFT strong, best of 2"]] == [100.0, 50.0]
    assert shown["SFT strong"][0].low is not None


def test_the_papers_figures_stand_under_test_sets_alone(make: Maker) -> None:
    both = [
        make(m, [1.0, 0.0], split=s, protocol=PAPER)
        for s in ("test", "dev")
        for m in ("sft-strong", "mcts")
    ]
    found = table(report_of(both, with_paper=True), "table-1")
    assert [column.title for column in found.columns[1::2]] == [
        "WebShop test (paper 1) reward",
        "WebShop dev (paper 1) reward",
    ]
    papers = [row for row in found.rows if row.paper]
    assert papers and all(row.cells[1].value is not None for row in papers)
    assert all(row.cells[3].value is None for row in papers)
    dev = report_of(both[2:], with_paper=True)
    assert not any(row.paper for one in dev.tables() for row in one.rows)
