"""A report in the terminal, by sections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from tratree_cli.display.blocks import Block, Comparison, Figure, Gallery, Strip, Table
from tratree_cli.display.terminal_blocks import ComparisonText, FigureText, outline_tree
from tratree_cli.display.terminal_tables import FittingTable
from tratree_cli.display.text import inert, one_line
from tratree_cli.reporting.document import ReportDocument

BRIEF = ("summary", "comparison", "controls", "data", "rounds", "chain", "sweep", "tree")
"""What a terminal shows unasked: results, comparisons, the data, what was varied, one tree."""


def render(report: ReportDocument, sections: Sequence[str] | None = BRIEF) -> RenderableType:
    """The report as something rich can print: the ``sections`` named by key, None for all.

    What is left out is named at the end, so that a short answer never looks like the whole one.
    """
    if sections is None:
        report = report.told_once()
    parts: list[RenderableType] = [Text(one_line(report.title), style="bold")]
    if report.subtitle:
        parts.append(Text(one_line(report.subtitle), style="dim"))
    left_out = []
    for section in report.sections:
        if sections is not None and section.key not in sections:
            left_out.append(section.title)
            continue
        for sentence in section.text:
            parts += [Text(""), Text(inert(sentence))]
        for block in section.blocks:
            parts += [Text(""), _block(block)]
    if report.warnings:
        parts.append(Text(""))
        parts += [Text(f"! {one_line(warning)}") for warning in report.warnings]
    if left_out:
        sentence = f"Not shown here, but in the other formats: {', '.join(left_out)}."
        parts += [Text(""), Text(one_line(sentence), style="dim")]
    if report.next_step:
        parts += [Text(""), Text(f"Next: {one_line(report.next_step)}")]
    return Group(*parts)


def _block(block: Block) -> RenderableType:
    if isinstance(block, Table):
        return FittingTable(block)
    if isinstance(block, Figure):
        return FigureText(block)
    if isinstance(block, Comparison):
        return ComparisonText(block)
    notes = (Text(one_line(note), style="dim") for note in block.notes)
    title = Text(one_line(block.title), style="bold")
    if isinstance(block, Strip):
        return Group(title, *(Text(f"  {line}") for line in _strip_lines(block)), *notes)
    if isinstance(block, Gallery):
        return Group(title, *(Text(f"  {one_line(task.title)}") for task in block.tasks), *notes)
    return Group(title, outline_tree(block), *notes)


def _strip_lines(strip: Strip) -> Iterator[str]:
    """A line for each step, the figures below each other."""
    width = max((len(step.figure) for step in strip.steps), default=0)
    for step in strip.steps:
        yield f"{one_line(step.figure):>{width}}  {one_line(step.label)}"
