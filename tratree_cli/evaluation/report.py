"""From evaluations to the document that every format renders.

The report says what was measured, against what, with how much data, and how to make it again.
Sections appear when their evaluations are there: a single evaluation gives a table with one row,
a whole study all of the paper's tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tratree_cli.evaluation.artifact import Evaluation
from tratree_cli.evaluation.cohorts import Run, cohorts
from tratree_cli.evaluation.document import (
    NUMBER,
    TEXT,
    Block,
    Cell,
    Column,
    ReportDocument,
    Row,
    Section,
    Source,
    Table,
)
from tratree_cli.evaluation.summary_table import summary_table


@dataclass(frozen=True)
class Evaluated:
    """An evaluation as the store knows it.

    ``seconds`` maps stage to the seconds spent on making this policy and evaluating it (recorded,
    never keyed); ``command`` remakes it; ``inputs`` are the references it was made from.
    """

    evaluation: Evaluation
    ref: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    command: str = ""
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class TreeSummary:
    """One trajectory tree (or the mean of several) in figures, with an optional drawing."""

    title: str
    figures: Mapping[str, float | int | str]
    blocks: tuple[Block, ...] = ()
    notes: tuple[str, ...] = ()


def build_report(
    evaluations: Sequence[Evaluated],
    tree_summary: TreeSummary | None = None,
    *,
    title: str = "Weak-to-strong report",
    subtitle: str = "",
    next_step: str = "",
) -> ReportDocument:
    """The report of these evaluations; an empty sequence gives a document that says so."""
    runs = [Run(one.evaluation, dict(one.seconds)) for one in evaluations]
    groups = cohorts(runs)
    sections = []
    if groups:
        sections.append(Section("summary", "Results", blocks=(summary_table(groups),)))
    if tree_summary is not None:
        sections.append(_tree_section(tree_summary))
    return ReportDocument(
        title=title,
        subtitle=subtitle,
        sections=tuple(sections),
        warnings=_warnings(evaluations),
        sources=tuple(
            Source(one.ref, one.evaluation.descriptor.label, one.command, one.inputs)
            for one in evaluations
            if one.ref
        ),
        next_step=next_step,
    )


def _tree_section(summary: TreeSummary) -> Section:
    table = Table(
        key="tree",
        title=summary.title,
        columns=(Column("Figure", TEXT), Column("Value", NUMBER)),
        rows=tuple(Row((Cell(name), Cell(value))) for name, value in summary.figures.items()),
        notes=summary.notes,
    )
    return Section("tree", "Trajectory tree", blocks=(table, *summary.blocks))


def _warnings(evaluations: Sequence[Evaluated]) -> tuple[str, ...]:
    if not evaluations:
        return ("There are no evaluations, so there is nothing to report.",)
    found: dict[str, None] = {}
    for one in evaluations:
        descriptor = one.evaluation.descriptor
        for warning in (*descriptor.warnings, *one.evaluation.metrics.notes):
            found[f"{descriptor.label}: {warning}"] = None
    return tuple(found)
