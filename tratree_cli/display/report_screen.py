"""A report's main table on one screen: policy, bar, reward and what tells it from the baseline.

Where the tables have notes and intervals under each other, this has one line a policy, that of the
best trained one bold. The whole report is ``report --long`` and the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from tratree_cli.display import formatting
from tratree_cli.display.blocks import Cell, Column, Row, Table
from tratree_cli.display.sparkline import bar
from tratree_cli.display.text import one_line

_LEAST_BAR = 6
_MOST_BAR = 24
_SHARE = 9
"""The width of a percentage with two spaces before it."""


class ScreenTable:
    """The rewards of ``table``, with ``differences`` from the baseline by policy."""

    def __init__(self, table: Table, differences: Mapping[str, str], against: str) -> None:
        self.table = table
        self.differences = differences
        self.against = against

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table, columns = self.table, self.table.columns
        reward = next((i for i, c in enumerate(columns) if c.title.startswith("Avg reward")), 1)
        shares = [i for i, c in enumerate(columns) if c.title in ("Success", "Strict")]
        names = [_policy(row, reward) for row in table.rows]
        left = max(map(cell_len, [*names, "Policy"]))
        rewards = [_reward(row.cells[reward], columns[reward]) for row in table.rows]
        middle = max(map(cell_len, [*rewards, columns[reward].title]))
        against = f"vs {self.against}" if self.differences else ""
        right = max(map(cell_len, [*self.differences.values(), against]))
        figures = middle + (right + 2 if right else 0)
        room = options.max_width - left - figures - 4
        # A bar goes before strict success, success before a bar.
        while len(shares) > 1 and room < len(shares) * _SHARE + _LEAST_BAR:
            shares.pop()
        if room < len(shares) * _SHARE:
            shares.clear()
        room -= len(shares) * _SHARE
        room = 0 if room < _LEAST_BAR else min(room, _MOST_BAR)
        yield Text(one_line(table.title), style="bold", no_wrap=True, overflow="ellipsis")
        head = f"{'Policy':{left}}  {'':{room}}  {columns[reward].title:>{middle}}"
        head += "".join(f"{columns[share].title:>{_SHARE}}" for share in shares)
        yield Text(f"{head}  {against:>{right}}".rstrip(), style="dim", no_wrap=True)
        best = self._best(names, reward)
        highest = max((_value(row.cells[reward]) for row in table.rows), default=100.0)
        for row, name, words in zip(table.rows, names, rewards, strict=True):
            value = _value(row.cells[reward])
            full = max(100.0, highest)
            drawn = bar(value, full, room, ascii_only=options.ascii_only) if room else ""
            line = f"{name}{' ' * (left - cell_len(name))}  {set_cell_size(drawn, room)}"
            line += f"  {' ' * (middle - cell_len(words))}{words}"
            for share in shares:
                percent = f"{formatting.figure(row.cells[share], columns[share])} %"
                line += f"{percent:>{_SHARE}}"
            line += f"  {self.differences.get(name, ''):>{right}}" if right else ""
            style = "bold" if row is best else ""
            yield Text(line.rstrip(), style=style, no_wrap=True, overflow="crop")

    def _best(self, names: Sequence[str], reward: int) -> Row | None:
        """The row that earns most of the baseline and what is compared with it, if anything is."""
        compared = {*self.differences, self.against}
        rows = [
            row
            for row, name in zip(self.table.rows, names, strict=True)
            if self.differences and name in compared and not row.paper
        ]
        return max(rows, key=lambda row: _value(row.cells[reward]), default=None)


def _policy(row: Row, reward: int) -> str:
    words = [str(cell.value) for cell in row.cells[:reward] if cell.value not in (None, "")]
    return one_line(" ".join(words) + (" (paper)" if row.paper else ""), 28)


def _reward(cell: Cell, column: Column) -> str:
    return formatting.whole(cell, column)


def _value(cell: Cell) -> float:
    return float(cell.value) if isinstance(cell.value, int | float) else 0.0
