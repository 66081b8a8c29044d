"""A table in the terminal: readable at 80 columns, without colour, and with hostile texts.

A table that is too wide first puts its intervals on a second line of the cell, then is cut into
several tables that repeat the columns which tell the rows apart. No cell is ever shortened: half a
number is worse than a long page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from tratree_cli.display import formatting
from tratree_cli.display.blocks import BEST, SECOND, SIGNIFICANT, TEXT, Cell, Column, Row, Table
from tratree_cli.display.text import one_line

_GAP = 2
_MARKS = {BEST: "¹", SECOND: "²", SIGNIFICANT: "*"}
_STYLES = {BEST: "bold", SECOND: "italic", SIGNIFICANT: "bold"}


class FittingTable:
    """A table that chooses its layout by the width it is given."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self.table
        yield Text(one_line(table.title), style="bold")
        if not table.rows:
            yield Text("(no rows)", style="dim")
        else:
            yield from self._bodies(options.max_width)
        for note in table.notes:
            yield Padding(Text(one_line(note), style="dim"), (0, 0, 0, 0))

    def _bodies(self, width: int) -> Iterable[RenderableType]:
        table = self.table
        for stacked in (False, True):
            if _natural_width(table, range(len(table.columns)), stacked) <= width:
                yield _body(table, range(len(table.columns)), stacked)
                return
        names = _naming_columns(table)
        chosen = list(names)
        for column in range(len(names), len(table.columns)):
            if chosen != names and _natural_width(table, [*chosen, column], True) > width:
                yield _body(table, chosen, True)
                chosen = list(names)
            chosen.append(column)
        yield _body(table, chosen, True)


def _naming_columns(table: Table) -> list[int]:
    """The first columns, as many of them as tell the rows apart; only the first if none do."""
    words = next((i for i, one in enumerate(table.columns) if one.kind != TEXT), 0)
    for count in range(1, words + 1):
        names = {(row.paper, *(cell.value for cell in row.cells[:count])) for row in table.rows}
        if len(names) == len(table.rows):
            return list(range(count))
    return [0]


def _body(table: Table, columns: Sequence[int], stacked: bool) -> RichTable:
    body = RichTable(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0)
    )
    for index in columns:
        column = table.columns[index]
        words = column.kind == TEXT
        body.add_column(
            Text(one_line(column.title)),
            justify="left" if words else "right",
            overflow="fold",
            no_wrap=not words,
        )
    for row in table.rows:
        body.add_row(
            *(_text(row, row.cells[i], table.columns[i], stacked, i == 0) for i in columns),
            style="dim" if row.paper else None,
        )
    return body


def _text(row: Row, cell: Cell, column: Column, stacked: bool, first: bool) -> Text:
    lines = _lines(cell, column, stacked)
    if first and row.paper:
        lines[0] += " (paper)"
    return Text("\n".join(lines), style=_STYLES.get(cell.mark, ""))


def _lines(cell: Cell, column: Column, stacked: bool) -> list[str]:
    mark = _MARKS.get(cell.mark, "")
    if not stacked:
        return [formatting.whole(cell, column) + mark]
    parts = [formatting.figure(cell, column), formatting.spread(cell, column)]
    first = " ".join(part for part in parts if part) + mark
    second = formatting.interval(cell, column)
    return [first, second] if second else [first]


def _natural_width(table: Table, columns: Sequence[int], stacked: bool) -> int:
    """The width at which no cell of these columns has to wrap."""
    total = 0
    for index in columns:
        column = table.columns[index]
        cells = [line for row in table.rows for line in _lines(row.cells[index], column, stacked)]
        paper = len(" (paper)") if index == 0 and any(row.paper for row in table.rows) else 0
        total += paper + max(map(cell_len, [one_line(column.title), *cells]))
    return total + _GAP * (len(columns) - 1)
