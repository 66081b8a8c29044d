"""The report on a terminal fits 80 by 24: one line a policy, the rest folded or behind --long."""

from __future__ import annotations

import io

from rich.console import Console, Group

from tratree_cli.display.blocks import COUNT, NUMBER, PERCENT, TEXT, Cell, Column, Row, Table
from tratree_cli.reporting.document import ReportDocument, Section
from tratree_cli.reporting.render.screen import screen

NAMES = ("expert", "random", "SFT weak", "SFT strong", "W2SG tree-DPO", "W2SG MCTS", "unstructured")


def document(strict: float | None = None, sentences: int = 3) -> ReportDocument:
    share = () if strict is None else (Column("Strict", PERCENT),)
    columns = (
        Column("Policy", TEXT),
        Column("Avg reward", NUMBER),
        Column("Success", PERCENT),
        *share,
        Column("Demos", COUNT),
    )
    rows = tuple(
        Row(
            (
                Cell(name),
                Cell(40.0 + i, 30.0, 55.5),
                Cell(87.5),
                *(Cell(strict) for _ in share),
                Cell(40),
            )
        )
        for i, name in enumerate(NAMES)
    )
    table = Table("summary", "Average reward on WebShop (test)", columns, rows, ("A note. " * 30,))
    against = Table(
        "comparison",
        "Against SFT strong on WebShop",
        (Column("Policy", TEXT), Column("Difference", NUMBER)),
        (Row((Cell("W2SG MCTS"), Cell(-2.9, -17.2, 10.0))),),
    )
    text = ("W2SG MCTS earns 44.0 and so on, a sentence that is long. " * 4,) * sentences
    return ReportDocument(
        title="Weak-to-strong on WebShop",
        subtitle="recipe micro",
        sections=(
            Section("summary", "Results", text, (table,)),
            Section("comparison", "Against", (), (against,)),
        ),
        warnings=("An interval without a width says nothing about the uncertainty. " * 3,),
    )


def shown(width: int, *, color: bool = False, report: ReportDocument | None = None) -> list[str]:
    out = io.StringIO()
    system = "standard" if color else None  # whatever the terminal of whoever runs the tests
    console = Console(
        file=out, width=width, force_terminal=color, color_system=system, highlight=False
    )
    console.print(Group(*screen(report or document())))
    return out.getvalue().splitlines()


def test_it_fits_a_small_terminal_and_cuts_no_figure() -> None:
    lines = shown(80)
    assert len(lines) <= 22
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if line.startswith("W2SG MCTS  "))
    for figure in ("45.0 [30.0, 55.5]", "87.5 %", "−2.9 [−17.2, 10.0]"):
        assert figure in row
    assert "vs SFT strong" in "".join(lines)


def test_the_best_row_is_bold_and_a_wide_terminal_has_longer_bars() -> None:
    bold = [line for line in shown(80, color=True) if line.startswith("\x1b[1mW2SG MCTS  ")]
    assert len(bold) == 1
    assert sum(line.count("█") for line in shown(120)) > sum(line.count("█") for line in shown(80))


def test_strict_success_stands_beside_success_where_there_is_room() -> None:
    for width, expected in ((100, True), (70, False)):
        lines = shown(width, report=document(strict=12.5))
        row = next(line for line in lines if line.startswith("W2SG MCTS  "))
        assert ("87.5 %" in row, "12.5 %" in row) == (True, expected)
        assert "−2.9 [−17.2, 10.0]" in row and len(row) <= width


def test_a_bar_stands_before_strict_success_where_only_one_of_them_has_room() -> None:
    lines = shown(70, report=document(strict=12.5))
    row = next(line for line in lines if line.startswith("W2SG MCTS  "))
    assert "█" in row and "87.5 %" in row and "12.5 %" not in row
    assert len(row) <= 70


def test_the_first_sentences_are_shown_and_the_rest_is_left_to_the_tables() -> None:
    lines = shown(80, report=document(sentences=12))
    assert sum(line.startswith("W2SG MCTS earns") for line in lines) == 6
