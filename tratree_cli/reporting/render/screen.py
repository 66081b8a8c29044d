"""What ``report`` shows on a terminal unasked: one screen, and where the rest is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tratree_cli.display.blocks import Table
    from tratree_cli.reporting.document import ReportDocument

_SENTENCES = 6
"""The first ones weigh the methods and warn; what they leave out is in the tables."""
_BEYOND = ("rounds", "chain")
"""Sections that a study has only where they are what it is about."""


def screen(report: ReportDocument) -> Iterator[RenderableType]:
    """Title, the main table with differences in it, and each further sentence in one line."""
    from rich.text import Text

    from tratree_cli.display.blocks import Table
    from tratree_cli.display.report_screen import ScreenTable
    from tratree_cli.display.terminal_tables import FittingTable
    from tratree_cli.display.text import one_line

    title = " · ".join(part for part in (report.title, report.subtitle) if part)
    yield _line(one_line(title), "bold")
    results = report.section("summary")
    against = report.section("comparison")
    compared = against.blocks if against else ()
    for place, block in enumerate(results.blocks if results else ()):
        yield Text("")
        if not isinstance(block, Table):
            continue
        if not any(column.title.startswith("Avg reward") for column in block.columns):
            yield FittingTable(block)
            continue
        beside = compared[place] if place < len(compared) else None
        yield ScreenTable(block, *_differences(beside if isinstance(beside, Table) else None))
    if results:
        yield Text("")
        for sentence in results.text[:_SENTENCES]:
            yield _line(one_line(sentence))
    for key in _BEYOND:
        section = report.section(key)
        for block in section.blocks if section else ():
            if isinstance(block, Table):
                yield Text("")
                yield FittingTable(block)
    for warning in report.warnings:
        yield _line(f"! {one_line(warning)}")
    yield _line("All tables, notes and a tree: report --long; a page: report -o report.html", "dim")


def _differences(table: Table | None) -> tuple[dict[str, str], str]:
    """What each policy earns beyond the baseline, by its name; and the baseline's name."""
    from tratree_cli.display import formatting

    titles = [column.title for column in table.columns] if table else []
    if table is None or "Difference" not in titles:
        return {}, ""
    place = titles.index("Difference")
    found = {
        " ".join(str(cell.value) for cell in row.cells[:1]): formatting.whole(
            row.cells[place], table.columns[place]
        )
        for row in table.rows
    }
    return found, table.title.removeprefix("Against ").partition(" on ")[0]


def _line(words: str, style: str = "") -> RenderableType:
    from rich.text import Text

    return Text(words, style=style, no_wrap=True, overflow="ellipsis")
