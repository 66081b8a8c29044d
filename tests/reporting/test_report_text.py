"""Terminal, Markdown, LaTeX, CSV and JSON: nothing is cut, nothing foreign takes effect."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console, RenderableType

from tests.reporting.conftest import report_of
from tratree_cli.display import formatting
from tratree_cli.display.blocks import COUNT, P_VALUE, SECONDS, TEXT, Cell, Column, Row, Table
from tratree_cli.display.text import inert, one_line
from tratree_cli.reporting.document import ReportDocument, Section
from tratree_cli.reporting.published import PAPER
from tratree_cli.reporting.render import csv as csv_render
from tratree_cli.reporting.render import json as json_render
from tratree_cli.reporting.render import latex, markdown, terminal
from tratree_cli.reporting.rows import EvaluationRow

Study = Callable[..., list[EvaluationRow]]


def printed(renderable: RenderableType, width: int = 80, **options: object) -> str:
    console = Console(width=width, file=io.StringIO(), **options)  # type: ignore[arg-type]
    console.print(renderable)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("seeds", [1, 5])
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_cell_is_cut_at_any_width(make_study: Study, seeds: int, width: int) -> None:
    report = report_of(make_study(seeds, protocol=PAPER), with_paper=True)
    text = printed(terminal.render(report, None), width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "…" not in text
    for table in report.tables():
        for row in table.rows:
            for cell, column in zip(row.cells[1:], table.columns[1:], strict=True):
                for part in (formatting.figure(cell, column), formatting.interval(cell, column)):
                    assert part in text


def test_a_table_in_pieces_repeats_what_tells_its_rows_apart() -> None:
    columns = (Column("Policy", TEXT), Column("Setting", TEXT), *map(Column, ("first", "second")))
    rows = tuple(Row((Cell("MCTS"), Cell(f"explore.m={m}"), Cell(m), Cell(-m))) for m in (3, 4))
    text = printed(terminal.FittingTable(Table("t", "T", columns, rows)), 30)
    assert [text.count(f"MCTS    explore.m={m}") for m in (3, 4)] == [2, 2]
    alone = printed(terminal.FittingTable(Table("t", "T", columns, rows[:1])), 26)
    assert (alone.count("MCTS"), alone.count("explore.m=3")) == (2, 1)


def test_the_quick_table_keeps_one_line_a_policy_at_80_columns(make_study: Study) -> None:
    text = printed(terminal.render(report_of(make_study(3)), ("summary",)))
    lines = [line for line in text.splitlines() if line.startswith("unstructured DPO")]
    assert len(lines) == 1
    assert "±" in lines[0] and "[" in lines[0]


def test_the_short_answer_names_what_it_leaves_out(make_study: Study) -> None:
    text = printed(terminal.render(replace(report_of(make_study(1)), next_step="tratree show x")))
    assert "Not shown here" in text
    assert "Data and cost" in text
    assert text.rstrip().endswith("Next: tratree show x")


def test_without_colour_marks_are_still_there(make_study: Study) -> None:
    report = report_of(make_study(1, protocol=PAPER), with_paper=True)
    text = printed(terminal.render(report, None), 100, no_color=True)
    assert "\x1b" not in text
    assert "(paper)" in text
    assert "¹" in text and "²" in text


def test_terminal_escapes_and_markup_in_foreign_texts_do_nothing(
    hostile_report: ReportDocument,
) -> None:
    rendered = terminal.render(hostile_report, None)
    text = printed(rendered, 80, force_terminal=True, color_system=None)
    assert "\x1b" not in text and "\x07" not in text
    assert "\u202e" not in text
    assert "[red]" in text


def test_markdown_shows_foreign_texts_and_runs_none(
    hostile_report: ReportDocument, hostile: str
) -> None:
    page = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .render(markdown.render(hostile_report))
    )
    assert "<script" not in page
    assert "<img" not in page
    assert "<a href" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<h2>") >= len(hostile_report.sections)


def test_markdown_tables_have_as_many_cells_as_columns(hostile_report: ReportDocument) -> None:
    parser = MarkdownIt("commonmark").enable("table")
    page = parser.render(markdown.render(hostile_report))
    for table in page.split("<table>")[1:]:
        rows = table.split("</table>")[0].split("<tr>")[1:]
        counts = {row.count("<td") + row.count("<th") - row.count("<thead") for row in rows}
        assert len(counts) == 1


def test_latex_has_balanced_braces_and_no_foreign_command(
    hostile_report: ReportDocument,
) -> None:
    text = latex.render(hostile_report)
    assert r"\input" not in text
    assert r"\textbackslash{}input" in text
    bare = text.replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    assert text.count(r"\toprule") == len(hostile_report.tables())
    for line in text.splitlines():
        if line.endswith(r"\\"):
            assert "%" not in line.replace(r"\%", "")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX is installed")
def test_latex_sets_every_table_within_the_text(make_study: Study, tmp_path: Path) -> None:
    report = report_of(make_study(2, protocol=PAPER), with_paper=True)
    (tmp_path / "tables.tex").write_text(latex.render(report), "utf-8")
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,graphicx}"
        r"\begin{document}\input{tables}\end{document}"
    )
    run = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout[-2000:]
    assert "Overfull" not in run.stdout


def test_latex_marks_the_best_and_the_papers_rows(make_study: Study) -> None:
    text = latex.render(report_of(make_study(1, protocol=PAPER), with_paper=True))
    assert r"\textbf{75.0" in text
    assert "(paper)" in text
    assert r"Table 3" not in text


def test_csv_has_every_figure_and_no_formula(hostile_report: ReportDocument) -> None:
    rows = list(csv.reader(io.StringIO(csv_render.render(hostile_report))))
    assert all(len(row) == 10 for row in rows)
    assert not any(cell[:1] in ("=", "@", "+") for row in rows for cell in row)
    figures = sum(
        len(table.columns[1:]) * len(table.rows) for table in hostile_report.tables()
    ) + sum(len(one.points) for figure in hostile_report.figures() for one in figure.series)
    assert len(rows) == figures + 1


def test_a_cell_that_looks_like_a_formula_is_quoted() -> None:
    columns = (Column("a", TEXT), Column("b", TEXT))
    table = Table("t", "t", columns, (Row((Cell("x"), Cell("=1+1"))),))
    report = ReportDocument("t", sections=(Section("s", "s", (), (table,)),))
    assert ",'=1+1," in csv_render.render(report)


def test_every_format_gives_the_same_bytes_twice(make_study: Study) -> None:
    for module in (json_render, csv_render, latex, markdown):
        first = module.render(report_of(make_study(2)))
        assert first == module.render(report_of(make_study(2)))


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (1234567, COUNT, "1,234,567"),
        (0.41, SECONDS, "0.4"),
        (1234.5, SECONDS, "1,234"),
        (0.00001, P_VALUE, "<0.0001"),
        (0.0003, P_VALUE, "0.0003"),
        (float("nan"), COUNT, formatting.DASH),
        (float("inf"), SECONDS, formatting.DASH),
    ],
)
def test_figures_are_written_as_their_column_says(value: float, kind: str, expected: str) -> None:
    assert formatting.number(value, kind) == expected


def test_text_is_made_inert_without_losing_other_alphabets() -> None:
    assert inert("日本語 é\n\tok") == "日本語 é\n\tok"
    assert inert("a\x1b[2Jb\u202ec\ud800") == "a\ufffd[2Jb\ufffdc\ufffd"
    assert one_line("a\n\n b\tc", 4) == "a b…"
