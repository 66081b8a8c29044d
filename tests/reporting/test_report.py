"""Which tables a report has, what stands in them, and what it admits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from tests.reporting.conftest import report_of
from tratree_cli.display.blocks import BEST, SECOND, Row, Table
from tratree_cli.evaluation.artifact import UNKNOWN_BUDGET, Budget
from tratree_cli.evaluation.metrics import summarise_results
from tratree_cli.evaluation.significance import ONE_SEED
from tratree_cli.reporting.build_report import NO_PAPER
from tratree_cli.reporting.document import ReportDocument, document_from
from tratree_cli.reporting.published import PAPER, PUBLISHED, published
from tratree_cli.reporting.rows import EvaluationRow

Maker = Callable[..., EvaluationRow]
Study = Callable[..., list[EvaluationRow]]


def table(report: ReportDocument, key: str) -> Table:
    return next(one for one in report.tables() if one.key == key)


def row(found: Table, name: str, *, paper: bool = False) -> Row:
    return next(r for r in found.rows if r.cells[0].value == name and r.paper is paper)


def titles(found: Table) -> list[str]:
    return [column.title for column in found.columns]


def values(found: Row) -> list[object]:
    return [cell.value for cell in found.cells[1:]]


def test_the_summary_lists_policies_in_the_order_of_the_quick_report(make_study: Study) -> None:
    summary = table(report_of(make_study(1)[::-1]), "summary")
    assert [r.cells[0].value for r in summary.rows] == [
        "expert",
        "random",
        "SFT weak",
        "SFT strong",
        "W2SG tree-DPO",
        "W2SG MCTS",
        "unstructured DPO",
        "ceiling",
    ]
    assert values(row(summary, "W2SG MCTS"))[1:] == [75.0, 160, 1200]


def test_seeds_become_one_row_with_mean_spread_and_interval(make: Maker) -> None:
    report = report_of(
        [make("mcts", [1.0, 0.0, 0.0, 0.0], seed=0), make("mcts", [1.0, 1.0, 1.0, 0.0], seed=1)]
    )
    cell = table(report, "summary").rows[0].cells[1]
    assert cell.value == 50.0
    assert cell.sd == pytest.approx(50 / 2**0.5)
    assert cell.low is not None and cell.high is not None
    assert cell.low <= 50 <= cell.high


def test_one_seed_prints_that_there_is_no_test(make_study: Study) -> None:
    versus = table(report_of(make_study(1)), "versus-webshop-test")
    assert "Welch p" not in [column.title for column in versus.columns]
    assert any(note.startswith(ONE_SEED.capitalize()) for note in versus.notes)


def test_several_seeds_are_tested_against_sft_strong(make_study: Study) -> None:
    versus = table(report_of(make_study(3)), "versus-webshop-test")
    assert titles(versus) == [
        "Policy",
        "Difference",
        "Better/worse",
        "Welch p",
        "Paired p",
        "Hedges g",
        "Gap",
        "Extra data",
    ]
    mcts = row(versus, "W2SG MCTS")
    assert mcts.cells[1].value == pytest.approx(25.0)
    assert mcts.cells[2].value == "7/0 of 20"
    p = mcts.cells[3].value
    assert isinstance(p, float) and p < 0.05
    # Every seed gains exactly as much, so a paired t-test has nothing to divide by.
    assert mcts.cells[4].value is None
    assert any("the same for every seed" in note for note in versus.notes)


def test_the_recovered_gap_may_pass_one_and_the_table_says_why(make_study: Study) -> None:
    versus = table(report_of(make_study(1)), "versus-webshop-test")
    gap = dict(zip(titles(versus), row(versus, "W2SG MCTS").cells, strict=True))["Gap"].value
    assert gap == pytest.approx((75 - 35) / (70 - 35))
    assert any("may exceed 1" in note for note in versus.notes)


def test_without_a_ceiling_the_gap_ends_at_sft_strong_and_says_so(make: Maker) -> None:
    report = report_of(
        [
            make("sft-weak", [0.0, 0.0, 1.0, 0.0]),
            make("sft-strong", [0.0, 1.0, 1.0, 0.0]),
            make("mcts", [1.0, 1.0, 1.0, 0.0]),
        ]
    )
    versus = table(report, "versus-webshop-test")
    gap = dict(zip(titles(versus), row(versus, "W2SG MCTS").cells, strict=True))["Gap"].value
    assert gap == pytest.approx(2.0)
    assert any("no ceiling model evaluated" in note for note in versus.notes)


def test_table_1_ranks_own_figures_and_never_the_papers(make_study: Study) -> None:
    report = report_of(make_study(1, protocol=PAPER), with_paper=True)
    found = table(report, "table-1")
    assert row(found, "W2SG MCTS").cells[1].mark == BEST
    assert row(found, "ceiling").cells[1].mark == SECOND
    paper = row(found, "W2SG with MCTS", paper=True)
    assert values(paper) == [56.9, 99.0]
    assert not any(cell.mark for r in found.rows if r.paper for cell in r.cells)


def test_the_papers_figures_appear_only_when_asked_for(make_study: Study) -> None:
    report = report_of(make_study(1))
    assert not any(r.paper for one in report.tables() for r in one.rows)


def test_the_papers_figures_are_of_test_sets_and_a_report_without_one_says_so(make: Maker) -> None:
    shown = report_of([make("mcts", [0.0, 1.0], protocol=PAPER)], with_paper=True)
    assert NO_PAPER not in shown.warnings
    dev = make("mcts", [0.0, 1.0], protocol=PAPER)
    told = replace(dev.evaluation.descriptor, split="dev")
    dev = replace(dev, evaluation=replace(dev.evaluation, descriptor=told))
    assert NO_PAPER in report_of([dev], with_paper=True).warnings
    assert NO_PAPER not in report_of([dev]).warnings


def test_only_printed_tables_are_published() -> None:
    assert {figure.table for figure in PUBLISHED} == {1, 2, 3, 4, 5, 8}
    assert len(published(1)) == 21
    assert len(published(2)) == len(published(8)) == 9
    assert len(published(4)) == 8
    assert [figure.reward for figure in published(3)] == [53.6, 54.9, 49.2, 57.6, 58.2, 54.9]
    assert [figure.reward for figure in published(5)] == [59.7, 60.4, 61.9, 65.7]


def test_a_sweep_fills_table_3_and_figure_4_and_stays_out_of_table_1(make: Maker) -> None:
    def cell(
        method: str, m: int, beta: float, solved: int, varied: tuple[str, ...]
    ) -> EvaluationRow:
        return make(
            method,
            [float(i < solved) for i in range(10)],
            parameters={"explore.m": m, "dpo.beta": beta},
            varied=varied,
        )

    report = report_of(
        [
            make("sft-strong", [1.0] * 4 + [0.0] * 6),
            cell("tree-dpo", 6, 0.1, 6, ()),
            cell("tree-dpo", 6, 0.5, 3, ("dpo.beta",)),
            cell("mcts", 6, 0.1, 7, ()),
            cell("mcts", 3, 0.1, 5, ("explore.m",)),
            cell("mcts", 10, 0.1, 6, ("explore.m",)),
        ],
        with_paper=True,
    )
    found = table(report, "table-3")
    own = [tuple(values(r)) for r in found.rows if not r.paper]
    assert ("6", "0.5", 30.0) in own
    assert ("3", "–", 50.0) in own
    assert len(own) == 5
    assert values(row(table(report, "table-1"), "W2SG tree-DPO"))[0] == 60.0
    names = [r.cells[0].value for r in table(report, "budget").rows]
    assert len(names) == len(set(names)) == 6
    assert "W2SG MCTS (explore.m=3)" in names
    figure = next(one for one in report.figures() if one.key == "figure-4")
    assert [(p.x, p.y) for p in figure.series[0].points] == [(3, 50.0), (6, 70.0), (10, 60.0)]
    assert "best with 6" in figure.alt


def test_families_and_weak_models_get_their_tables(make: Maker) -> None:
    evaluations = []
    for family, weak, solved in (("big", "tiny", 5), ("big", "small", 7), ("huge", "tiny", 8)):
        for method in ("sft-strong", "tree-dpo", "mcts"):
            evaluations.append(
                make(
                    method,
                    [float(i < solved) for i in range(10)],
                    family=family,
                    weak="" if method == "sft-strong" else weak,
                )
            )
    report = report_of(evaluations)
    assert {r.cells[0].value for r in table(report, "tables-2-4-8").rows} == {"big", "huge"}
    weak_rows = table(report, "tables-6-7").rows
    assert {r.cells[0].value for r in weak_rows} == {"tiny", "small"}


def test_two_environments_stand_side_by_side_in_table_1(make: Maker) -> None:
    report = report_of(
        [
            make("sft-strong", [1.0, 0.0]),
            make("mcts", [1.0, 1.0]),
            make("mcts", [0.5, 0.5], environment="alfworld", split="unseen"),
        ]
    )
    titles = [column.title for column in table(report, "table-1").columns]
    assert titles[1:] == [
        "WebShop reward",
        "WebShop success",
        "ALFWorld reward",
        "ALFWorld success",
    ]
    assert values(row(table(report, "table-1"), "SFT strong"))[2] is None


def test_unequal_numbers_of_seeds_stand_in_their_rows(make: Maker) -> None:
    runs = [make("sft-strong", [0.0, 1.0], seed=seed) for seed in range(3)]
    summary = table(report_of([*runs, make("mcts", [1.0, 1.0])]), "summary")
    seeds = {r.cells[0].value: r.cells[titles(summary).index("Seeds")].value for r in summary.rows}
    assert seeds == {"SFT strong": 3, "W2SG MCTS": 1}
    assert "Seeds" not in titles(table(report_of(runs), "summary"))


def test_unequal_data_stands_beside_the_comparison(make: Maker) -> None:
    rows = [
        replace_budget(make("sft-strong", [0.0, 1.0]), Budget(60, 0, 64)),
        replace_budget(make("mcts", [1.0, 1.0]), Budget(60, 1440, 124)),
        replace_budget(make("best-of-n", [1.0, 1.0], best_of=8), Budget(60, 0, 64)),
    ]
    versus = table(report_of(rows), "versus-webshop-test")
    extra = {r.cells[0].value: r.cells[-1].value for r in versus.rows}
    assert extra["W2SG MCTS"] == "+1,440 episodes, +60 updates"
    assert extra["SFT strong, best of 8"] == "reward of 8 samples a tested task"
    assert any("method and data together" in note for note in versus.notes)


def replace_budget(one: EvaluationRow, budget: Budget) -> EvaluationRow:
    descriptor = replace(one.evaluation.descriptor, budget=budget)
    return replace(one, evaluation=replace(one.evaluation, descriptor=descriptor))


def test_holm_counts_the_tests_that_were_made_not_the_rows(make: Maker) -> None:
    share = {"sft-strong": (2, 3, 3), "mcts": (5, 6, 6), "tree-dpo": (4,)}
    rows = [
        make(method, [float(i < solved) for i in range(8)], seed=seed)
        for method, found in share.items()
        for seed, solved in enumerate(found)
    ]
    versus = table(report_of(rows), "versus-webshop-test")
    assert any("Holm-corrected for 1 and 0 comparisons" in note for note in versus.notes)
    assert any(note == "Some comparisons: one seed, no test." for note in versus.notes)


def test_the_curve_over_seeds_has_an_interval_over_tasks(make: Maker) -> None:
    runs = [make("mcts", [0.0, 1.0, 0.5, 1.0], seed=seed) for seed in range(2)]
    figure = next(f for f in report_of(runs).figures() if f.key.startswith("figure-3"))
    last = figure.series[0].points[-1]
    assert last.y == pytest.approx(62.5)
    assert last.low is not None and last.high is not None and last.low < last.y < last.high


def test_an_empty_report_says_so() -> None:
    report = report_of([])
    assert report.sections == ()
    assert report.warnings == ("There are no evaluations, so there is nothing to report.",)


def test_an_evaluation_without_any_score_is_reported_with_its_reason(make: Maker) -> None:
    good = make("sft-strong", [1.0, 0.0])
    results = tuple(replace(r, score=None, end="policy-error") for r in good.evaluation.results)
    broken = replace(
        good,
        evaluation=replace(
            good.evaluation,
            metrics=summarise_results(results),
            results=results,
            descriptor=replace(good.evaluation.descriptor, method="mcts", label="W2SG MCTS"),
        ),
    )
    report = report_of([good, broken])
    assert row(table(report, "summary"), "W2SG MCTS").cells[1].value is None
    assert any("No episode has a score" in warning for warning in report.warnings)
    assert any("no scored task" in note for note in table(report, "versus-webshop-test").notes)


def test_a_warning_of_several_seeds_is_one_sentence_with_the_range_of_its_figures(
    make: Maker,
) -> None:
    said = (
        "88% of 1,200 pairs start saturated (mean margin +7.3)",
        "100% of 980 pairs start saturated (mean margin +17.5)",
        "9% of 1,010 pairs start saturated (mean margin -1.5)",
    )

    def warned(seed: int, *texts: str) -> EvaluationRow:
        made = make("tree-dpo", [0.0, 1.0], seed=seed)
        told = replace(made.evaluation.descriptor, warnings=texts)
        return replace(made, evaluation=replace(made.evaluation, descriptor=told))

    report = report_of(
        [warned(0, said[0], "alone"), warned(1, said[1]), warned(2, said[2]), make("mcts", [1.0])]
    )
    label = "tree-dpo"
    assert (
        f"{label}: 9% to 100% of 980 to 1,200 pairs start saturated (mean margin -1.5 to +17.5)"
        in report.warnings
    )
    assert [text for text in report.warnings if label in text and "alone" in text] == [
        f"{label}, WebShop test, seed 0: alone"
    ]


def test_a_report_is_read_back_from_its_json(
    make_study: Study, hostile_report: ReportDocument
) -> None:
    for report in (
        report_of(make_study(2, protocol=PAPER), with_paper=True),
        hostile_report,
        report_of([]),
    ):
        plain = orjson.loads(orjson.dumps(report.to_json()))
        assert document_from(plain) == report


def test_the_same_evaluations_in_any_order_give_the_same_tables(make_study: Study) -> None:
    evaluations = make_study(2)
    forwards, backwards = report_of(evaluations), report_of(evaluations[::-1])
    assert forwards.tables() == backwards.tables()


def test_what_nobody_knows_has_no_column(make: Maker) -> None:
    known = make("mcts", [1.0, 0.0])
    descriptor = replace(known.evaluation.descriptor, budget=UNKNOWN_BUDGET)
    bare = EvaluationRow(replace(known.evaluation, descriptor=descriptor))
    report = report_of([bare])
    titles = [column.title for column in table(report, "summary").columns]
    assert titles == ["Policy", "Avg reward", "Success"]
    assert report.section("cost") is None


def test_any_varied_setting_has_a_row_beside_the_recipes_own(make: Maker) -> None:
    report = report_of(
        [
            make("sft-strong", [1.0, 0.0]),
            make("mcts", [1.0, 1.0], parameters={"explore.explorer": "weak"}),
            make(
                "mcts",
                [0.0, 0.0],
                parameters={"explore.explorer": "strong"},
                varied=("explore.explorer",),
            ),
        ]
    )
    rows = [tuple(cell.value for cell in r.cells[:3]) for r in table(report, "sweep").rows]
    assert rows == [
        ("W2SG MCTS", "the recipe's own", 100.0),
        ("W2SG MCTS", "explore.explorer=strong", 0.0),
    ]
    assert all(one.key != "table-3" for one in report.tables())
    assert values(row(table(report, "table-1"), "W2SG MCTS"))[0] == 100.0


def test_fewer_demonstrations_make_a_weaker_weak_model(make: Maker) -> None:
    def cell(method: str, demos: int, varied: tuple[str, ...] = ()) -> EvaluationRow:
        parameters = {"demos.limit": demos}
        return make(method, [1.0, 0.0], weak="small", parameters=parameters, varied=varied)

    report = report_of(
        [
            *(cell(method, 20) for method in ("sft-weak", "mcts")),
            *(cell(method, 5, ("demos.limit",)) for method in ("sft-weak", "mcts")),
        ]
    )
    names = [r.cells[0].value for r in table(report, "tables-6-7").rows]
    assert names == ["small, 20 demos"] * 2 + ["small, 5 demos"] * 2


def test_every_environment_has_its_own_main_models(make: Maker) -> None:
    shop = {"environment": "webshop", "family": "tratree-m", "weak": "tratree-s"}
    rooms = {"environment": "alfworld", "family": "tratree-rooms-m", "weak": "tratree-rooms-s"}
    rows = [
        make(method, [1.0, reward], **where)
        for where, reward in ((shop, 0.0), (rooms, 1.0))
        for method in ("sft-weak", "sft-strong", "mcts")
    ]
    other = make("mcts", [0.0, 0.0], **{**rooms, "family": "tratree-l"})
    summary = table(report_of([*rows, other]), "summary")
    shown = [(str(found.cells[0].value), found.cells[1].value) for found in summary.rows]
    assert [reward for _, reward in shown] == [50.0] * 3 + [100.0] * 3
    assert all(("ALFWorld" in name) == (reward == 100.0) for name, reward in shown)
