"""A report for spreadsheets and data frames: CSV with every figure on its own line.

It is long (one line a figure) because wide tables of different shapes have no common header.
A text that a spreadsheet would take for a formula is quoted with an apostrophe.
"""

from __future__ import annotations

import csv
import io

from tratree_cli.display.blocks import Cell
from tratree_cli.display.text import one_line
from tratree_cli.reporting.document import ReportDocument

_HEADER = ("table", "row", "policy", "column", "value", "low", "high", "sd", "mark", "source")


def render(report: ReportDocument) -> str:
    """Every figure of every table and chart, one a line, at full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for table in report.tables():
        for number, row in enumerate(table.rows, start=1):
            first = inert(str(row.cells[0].value or ""))
            source = "paper" if row.paper else "own"
            for cell, column in zip(row.cells[1:], table.columns[1:], strict=True):
                figures = _figures(cell)
                name = inert(column.title)
                writer.writerow((table.key, number, first, name, *figures, cell.mark, source))
    for figure in report.figures():
        for series in figure.series:
            for number, point in enumerate(series.points, start=1):
                figures = _figures(Cell(point.y, point.low, point.high))
                name, x = inert(series.name), inert(str(point.x))
                writer.writerow((figure.key, number, name, x, *figures, "", "own"))
    return text.getvalue()


def _figures(cell: Cell) -> tuple[float | str | None, ...]:
    value = inert(cell.value) if isinstance(cell.value, str) else cell.value
    return (value, cell.low, cell.high, cell.sd)


def inert(text: str) -> str:
    """The text on one line, and quoted where a spreadsheet would take it for a formula."""
    flat = one_line(text)
    return f"'{flat}" if flat[:1] in ("=", "+", "-", "@") else flat
