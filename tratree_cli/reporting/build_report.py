"""From the rows of a report to the document that every format renders.

The report says what was measured, against what, with how much data, and how to make it again.
Sections appear when their evaluations are there: a single evaluation gives a table with one row,
a whole study all of the paper's tables.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from tratree_cli.evaluation.artifact import Descriptor
from tratree_cli.reporting import lineage
from tratree_cli.reporting.document import Artifact, ReportDocument, Section, Source
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.result_lines import result_lines
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.reporting.sections import SECTIONS
from tratree_cli.reporting.selection import environment_title

if TYPE_CHECKING:
    from tratree_store import Entry

NO_PAPER = (
    "No figure of the paper stands here: what it prints is of its methods on the test sets of "
    "WebShop, ScienceWorld and ALFWorld, and stands beside evaluations under its protocol alone "
    "(--set eval.protocol=paper)."
)
SEVERAL_PROTOCOLS = (
    "Evaluated under different protocols ({protocols}): their figures have columns of their own, "
    "are never averaged together and are not to be compared with each other."
)


def build_report(
    data: ReportData,
    *,
    title: str = "Weak-to-strong report",
    subtitle: str = "",
    warnings: Sequence[str] = (),
    remarks: Sequence[str] = (),
    only: Collection[str] | None = None,
) -> ReportDocument:
    """The report of these rows, of the sections in ``only`` (None: all).

    Without a row the document says so. ``warnings`` stand before what the rows themselves warn
    of, ``remarks`` after.
    """
    planned = [plan for plan in SECTIONS if data.rows and (only is None or plan.key in only)]
    sections = []
    for plan in planned:
        if blocks := plan.blocks(data):
            text = plan.sentences(data) if plan.sentences else ()
            sections.append(Section(plan.key, plan.title, text, blocks))
    document = ReportDocument(
        title=title,
        subtitle=subtitle,
        sections=tuple(sections),
        sources=_sources(data.rows),
        next_step=_look_at(data),
        lineage=_artifacts(data),
        results=result_lines(data.rows),
    )
    from_paper = any(row.paper for table in document.tables() for row in table.rows)
    return document.with_warnings(
        *warnings,
        *_warnings(data.rows),
        *_protocols(data.rows),
        *([NO_PAPER] if data.with_paper and not from_paper else []),
        *remarks,
    )


def _look_at(data: ReportData) -> str:
    """The command that shows the first tree of the report: that one, not the store's latest."""
    first = next(iter(data.trees.values()), None)
    return f"tratree show {first.kind}:{first.object[:12]}" if first else ""


def _protocols(rows: Sequence[EvaluationRow]) -> tuple[str, ...]:
    """A sentence where the rows are not all of one protocol."""
    named = dict.fromkeys(row.descriptor.protocol or "the recipe's own setting" for row in rows)
    return (SEVERAL_PROTOCOLS.format(protocols=", ".join(named)),) if len(named) > 1 else ()


def _artifacts(data: ReportData) -> tuple[Artifact, ...]:
    """Every artifact behind the rows once, in an order in which they can be made."""
    if data.store is None:
        return ()
    shown = [
        entry
        for row in data.rows
        if row.lineage is not None
        for entry in (row.lineage.policy, row.lineage.evaluation)
        if entry is not None
    ]
    known = {entry.recipe: entry for entry in lineage.ancestors(data.store, shown)}
    ordered: dict[str, Artifact] = {}

    def visit(entry: Entry) -> None:
        if entry.recipe in ordered or data.store is None:
            return
        made_from = [known.get(e.recipe, e) for e in lineage.inputs(data.store, entry)]
        for source in made_from:
            visit(source)
        label = str(entry.provenance.get("label", entry.stage))
        seed = entry.document.get("params", {}).get("seed")
        label = label if seed is None else f"{label}, seed {seed}"
        order = entry.document.get("params", {}).get("data_seed")
        label = label if order is None else f"{label}, order {order}"
        ordered[entry.recipe] = Artifact(entry.ref, label, tuple(e.ref for e in made_from))

    for entry in known.values():
        visit(entry)
    return tuple(ordered.values())


def _sources(rows: Sequence[EvaluationRow]) -> tuple[Source, ...]:
    """Every evaluation; those of one label are told apart by the fields in which they differ."""
    labels = [_source_label(row.descriptor) for row in rows]
    alike: dict[str, list[Descriptor]] = {}
    for label, row in zip(labels, rows, strict=True):
        alike.setdefault(label, []).append(row.descriptor)
    return tuple(
        Source(row.ref, _told_apart(label, row.descriptor, alike[label]), row.command, row.inputs)
        for label, row in zip(labels, rows, strict=True)
        if row.ref
    )


def _told_apart(label: str, descriptor: Descriptor, alike: Sequence[Descriptor]) -> str:
    """``label`` with the models, budgets and parameters that not all of ``alike`` share."""
    own = _distinguishing(descriptor)
    others = [_distinguishing(other) for other in alike]
    marks = [
        f"{name} {value}"
        for name, value in own.items()
        if any(other.get(name) != value for other in others)
    ]
    return ", ".join([label, *marks])


def _distinguishing(descriptor: Descriptor) -> dict[str, object]:
    budget = descriptor.budget
    fields = {
        "strong model": descriptor.family,
        "weak model": descriptor.weak,
        "best of": descriptor.best_of,
        "demonstrations": budget.demonstrations,
        "episodes": budget.episodes,
        "optimizer steps": budget.optimizer_steps,
        **descriptor.parameters,
    }
    return {name: value for name, value in fields.items() if value not in ("", None)}


def _source_label(descriptor: Descriptor) -> str:
    """Which cell of the tables this evaluation stands behind."""
    where = f"{environment_title(descriptor.environment)} {descriptor.task_set}"
    parts = [descriptor.label, *([where.strip()] if descriptor.environment else [])]
    parts += [f"seed {descriptor.seed}"] if descriptor.seed is not None else []
    parts += [f"order {descriptor.data_seed}"] if descriptor.data_seed is not None else []
    parts += [f"{name}={descriptor.parameters.get(name)}" for name in descriptor.varied]
    return ", ".join(parts)


def _warnings(rows: Sequence[EvaluationRow]) -> tuple[str, ...]:
    if not rows:
        return ("There are no evaluations, so there is nothing to report.",)
    alike: dict[tuple[str, tuple[str, ...]], list[tuple[Descriptor, str]]] = {}
    for row in rows:
        descriptor = row.descriptor
        for warning in (*descriptor.warnings, *row.evaluation.metrics.notes):
            between_figures = tuple(_FIGURE.split(warning))
            alike.setdefault((descriptor.label, between_figures), []).append((descriptor, warning))
    # What is true of one row alone names it; what is true of several names what they share.
    return tuple(
        f"{_source_label(warned[0][0]) if len(warned) == 1 else label}: "
        f"{_as_one([text for _, text in warned])}"
        for (label, _), warned in alike.items()
    )


_FIGURE = re.compile(r"[+-]?\d+(?:,\d{3})*(?:\.\d+)?%?")


def _as_one(texts: Sequence[str]) -> str:
    """Sentences that differ in their figures alone as one, with each figure's range."""
    between_figures = _FIGURE.split(texts[0])
    columns = zip(*map(_FIGURE.findall, texts), strict=True)
    ranges = ["", *map(_range, columns)]
    return "".join(figure + part for figure, part in zip(ranges, between_figures, strict=True))


def _range(figures: Sequence[str]) -> str:
    ordered = sorted(figures, key=lambda figure: float(figure.strip("%").replace(",", "")))
    return " to ".join(dict.fromkeys((ordered[0], ordered[-1])))
