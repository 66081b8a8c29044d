"""Figures of different evaluation protocols never meet; published ones stand beside their own."""

from __future__ import annotations

from collections.abc import Callable

from tests.reporting.conftest import report_of
from tratree_cli.reporting.build_report import NO_PAPER
from tratree_cli.reporting.cohorts import cohorts
from tratree_cli.reporting.document import ReportDocument
from tratree_cli.reporting.published import PAPER, PUBLISHED
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.stages.evaluation_protocol import load_protocol

Maker = Callable[..., EvaluationRow]
ETO = "eto 1"


def both(make: Maker) -> list[EvaluationRow]:
    """Two methods and two seeds, each under two protocols."""
    return [
        make(method, [score, 0.0], seed=seed, protocol=protocol)
        for protocol, score in ((PAPER, 1.0), (ETO, 0.5))
        for method in ("sft-strong", "mcts")
        for seed in (0, 1)
    ]


def paper_figures(report: ReportDocument) -> list[tuple[str, object]]:
    """The paper's figures in Table 1, each with the title of its column."""
    (found,) = (table for table in report.tables() if table.key == "table-1")
    return [
        (column.title, cell.value)
        for row in found.rows
        if row.paper
        for column, cell in zip(found.columns[1:], row.cells[1:], strict=True)
        if cell.value is not None
    ]


def test_rows_of_two_protocols_share_no_cohort_and_no_column(make: Maker) -> None:
    rows = both(make)
    groups = cohorts(rows)
    assert len(groups) == 4
    assert all(len({run.descriptor.protocol for run in group.runs}) == 1 for group in groups)
    report = report_of(rows)
    summaries = [table for table in report.tables() if table.key.startswith("summary")]
    assert [table.title for table in summaries] == [
        f"Average reward on WebShop (test ({protocol}))" for protocol in (PAPER, ETO)
    ]
    (main,) = (table for table in report.tables() if table.key == "table-1")
    assert [column.title for column in main.columns[1::2]] == [
        f"WebShop test ({protocol}) reward" for protocol in (PAPER, ETO)
    ]
    versus = [table.key for table in report.tables() if table.key.startswith("versus")]
    assert versus == [f"versus-webshop-test ({protocol})" for protocol in (PAPER, ETO)]


def test_a_report_over_two_protocols_says_so_in_a_sentence(make: Maker) -> None:
    (told,) = (text for text in report_of(both(make)).warnings if "different protocols" in text)
    assert f"({PAPER}, {ETO})" in told
    mixed = report_of([make("mcts", [1.0]), make("mcts", [0.0], protocol=ETO)])
    assert any(f"the recipe's own setting, {ETO}" in text for text in mixed.warnings)
    assert not any("protocols (" in text for text in report_of([make("mcts", [1.0])]).warnings)


def test_published_figures_stand_beside_rows_of_their_protocol_alone(make: Maker) -> None:
    figures = paper_figures(report_of(both(make), with_paper=True))
    assert figures and {title.rpartition(" ")[0] for title, _ in figures} == {
        f"WebShop test ({PAPER})"
    }
    for protocol in ("", ETO):
        rows = [make(method, [1.0, 0.0], protocol=protocol) for method in ("sft-strong", "mcts")]
        report = report_of(rows, with_paper=True)
        assert paper_figures(report) == [] and NO_PAPER in report.warnings


def test_every_published_figure_names_a_protocol_that_has_its_environment() -> None:
    for figure in PUBLISHED:
        protocol = load_protocol(figure.protocol.split()[0])
        assert protocol.identity == figure.protocol and figure.environment in protocol.settings
