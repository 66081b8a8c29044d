"""A report as Markdown that reads well as plain text and renders on any forge.

Foreign texts are escaped for Markdown and for the HTML that most renderers let through; the
document's own sentences are escaped the same way, because they may quote a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tratree_cli.display import formatting
from tratree_cli.display.blocks import (
    BEST,
    SECOND,
    SIGNIFICANT,
    TEXT,
    Block,
    Branch,
    Cell,
    Column,
    Comparison,
    Figure,
    Gallery,
    Outline,
    Row,
    Strip,
    Table,
)
from tratree_cli.display.text import one_line
from tratree_cli.reporting.document import ReportDocument

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&])")
_MARKS = {BEST: ("**", "**"), SECOND: ("_", "_"), SIGNIFICANT: ("", r"\*")}
_BRANCHES_SHOWN = 200


def render(report: ReportDocument) -> str:
    """The whole report as one Markdown text."""
    report = report.told_once()
    lines = [f"# {escape(report.title)}", ""]
    if report.subtitle:
        lines += [escape(report.subtitle), ""]
    if report.origin:
        lines += [escape(" · ".join(report.origin)), ""]
    for warning in report.warnings:
        lines += [f"> **Note:** {escape(warning)}", ">"]
    if report.warnings:
        lines[-1] = ""
    for section in report.sections:
        lines += [f"## {escape(section.title)}", ""]
        for sentence in section.text:
            lines += [escape(sentence), ""]
        for block in section.blocks:
            lines += [f"### {escape(block.title)}", "", *_block(block), ""]
            lines += [line for note in block.notes for line in (escape(note), "")]
    lines += _sources(report)
    if report.next_step:
        lines += [f"Next: {code(report.next_step)}", ""]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Text on one line in which nothing is markup."""
    return _SPECIAL.sub(r"\\\1", one_line(text)).replace(r"\<", "&lt;").replace(r"\>", "&gt;")


def code(text: str) -> str:
    """Text as a code span, whatever backticks it contains."""
    flat = one_line(text)
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    space = " " if "`" in flat else ""
    return f"{ticks}{space}{flat}{space}{ticks}"


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Figure):
        yield from _figure(block)
    elif isinstance(block, Outline):
        yield from _outline(block.root, 0, [_BRANCHES_SHOWN])
    elif isinstance(block, Strip):
        for step in block.steps:
            detail = f": {escape(step.detail)}" if step.detail else ""
            yield f"- **{escape(step.figure)}** {escape(step.label)}{detail}"
    elif isinstance(block, Gallery):
        # The transcripts are long: the page has them folded, the JSON as values.
        yield from (f"- {escape(task.title)}" for task in block.tasks)
    else:
        yield from _comparison(block)


def _table(table: Table) -> Iterator[str]:
    yield "| " + " | ".join(escape(column.title) for column in table.columns) + " |"
    yield "|" + "|".join(" --- " if c.kind == TEXT else " ---: " for c in table.columns) + "|"
    for row in table.rows:
        yield "| " + " | ".join(_cells(row, table)) + " |"


def _cells(row: Row, table: Table) -> Iterator[str]:
    for index, (cell, column) in enumerate(zip(row.cells, table.columns, strict=True)):
        text = _cell(cell, column)
        yield f"_{text} (paper)_" if row.paper and index == 0 else text


def _cell(cell: Cell, column: Column) -> str:
    before, after = _MARKS.get(cell.mark, ("", ""))
    return f"{before}{escape(formatting.whole(cell, column))}{after}"


def _figure(figure: Figure) -> Iterator[str]:
    if figure.alt:
        yield escape(figure.alt) + "."
        yield ""
    yield f"| Series | {escape(figure.x_label)} | {escape(figure.y_label)} |"
    yield "| --- | ---: | ---: |"
    for series in figure.series:
        for point in series.points:
            bounds = Cell(point.y, point.low, point.high)
            x = point.x if isinstance(point.x, str) else f"{point.x:g}"
            value = escape(formatting.whole(bounds, Column("")))
            yield f"| {escape(series.name)} | {escape(x)} | {value} |"


def _outline(branch: Branch, depth: int, left: list[int]) -> Iterator[str]:
    left[0] -= 1
    if left[0] < 0:
        return
    text = f"**{escape(branch.text)}**" if branch.best else escape(branch.text)
    value = "" if branch.value is None else f", G {branch.value:.2f}"
    visits = "" if branch.visits is None else f", n {branch.visits}"
    mark = " (diverges)" if branch.divergence else ""
    yield f"{'  ' * depth}- {text}{value}{visits}{mark}"
    for child in branch.children:
        yield from _outline(child, depth + 1, left)
    if depth == 0 and left[0] < 0:
        yield f"- … {-left[0]} more branches"


def _comparison(comparison: Comparison) -> Iterator[str]:
    yield f"> {escape(comparison.instruction)}"
    for lane in comparison.lanes:
        yield ""
        yield f"**{escape(lane.label)}**"
        yield ""
        for number, turn in enumerate(lane.turns, start=1):
            score = "" if turn.score is None else f" ({turn.score:.2f})"
            mark = " ← differs" if turn.differs else ""
            again = f" ×{turn.times}" if turn.times > 1 else ""
            again += ", no effect" if turn.ineffective else ""
            yield f"{number}. {code(turn.action)}{again}{score}{mark}"
        yield ""
        yield escape(lane.outcome)


def _sources(report: ReportDocument) -> list[str]:
    if not report.sources:
        return []
    # A list: a code span cannot hold a pipe inside a table.
    lines = ["## Where the figures come from", ""]
    for source in report.sources:
        command = f", made by {code(source.command)}" if source.command else ""
        lines.append(f"- {escape(source.label)}: {code(source.ref)}{command}")
    return [*lines, ""]
