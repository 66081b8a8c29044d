"""From evaluations to the document that every format renders.

The report says what was measured, against what, with how much data, and how to make it again.
Sections appear when their evaluations are there: a single evaluation gives a table with one row,
a whole study all of the paper's tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tratree_cli.display.blocks import NUMBER, TEXT, Block, Cell, Column, Figure, Row, Table
from tratree_cli.evaluation.artifact import Descriptor, Evaluation
from tratree_cli.reporting.cohorts import Cohort, Effort, Run, cohorts
from tratree_cli.reporting.document import ReportDocument, Section, Source
from tratree_cli.reporting.figures.charts import (
    differences,
    reward_bars,
    reward_by_breadth,
    reward_by_step,
)
from tratree_cli.reporting.key_results import findings
from tratree_cli.reporting.selection import main_cohorts, place_name, places
from tratree_cli.reporting.tables.baseline_comparison import versus_table
from tratree_cli.reporting.tables.details import (
    behaviour_table,
    budget_table,
    cost_table,
    endings_table,
    sampling_table,
    stage_table,
    type_table,
)
from tratree_cli.reporting.tables.paper import (
    family_table,
    table_1,
    table_3,
    table_5,
    weak_quality_table,
)
from tratree_cli.reporting.tables.summary import summary_table
from tratree_cli.reporting.tables.sweep import sweep_table


@dataclass(frozen=True)
class Evaluated:
    """An evaluation as the store knows it.

    ``seconds`` maps stage to the seconds spent on making this policy and evaluating it (recorded,
    never keyed); ``command`` remakes it; ``inputs`` are the references it was made from.
    """

    evaluation: Evaluation
    ref: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    effort: Effort = Effort()
    command: str = ""
    inputs: tuple[str, ...] = ()


def build_report(
    evaluations: Sequence[Evaluated],
    trees: Sequence[Block] = (),
    *,
    title: str = "Weak-to-strong report",
    subtitle: str = "",
    next_step: str = "",
    with_paper: bool = False,
    extra: Sequence[Section] = (),
) -> ReportDocument:
    """The report of these evaluations; an empty sequence gives a document that says so.

    ``trees`` are tables and drawings of the trajectory trees behind it (``tree_table``).
    ``with_paper`` sets the paper's printed figures beside one's own. ``extra`` sections (a case
    study, figures of Theorem 1, ...) follow the tree.
    """
    groups = cohorts([Run(one.evaluation, dict(one.seconds), one.effort) for one in evaluations])
    sections = []
    if groups:
        sections += [
            Section(
                "summary",
                "Results",
                text=findings(groups),
                blocks=(summary_table(main_cohorts(groups) or groups),),
            ),
            _section("comparison", "Against the baseline", *_comparisons(groups)),
            _section("figures", "Figures", *_figures(groups)),
            _section("paper", "The paper's tables", *_paper_tables(groups, with_paper)),
            _section("sweep", "Settings", sweep_table(groups)),
            _section("details", "Details", *_details(groups)),
            _section(
                "cost",
                "Data and cost",
                budget_table(groups),
                cost_table(groups),
                stage_table(groups),
            ),
        ]
    if trees:
        sections.append(Section("tree", "Trajectory tree", blocks=tuple(trees)))
    document = ReportDocument(
        title=title,
        subtitle=subtitle,
        sections=tuple(section for section in (*sections, *extra) if section.blocks),
        warnings=_warnings(evaluations),
        sources=tuple(
            Source(one.ref, _source_label(one.evaluation.descriptor), one.command, one.inputs)
            for one in evaluations
            if one.ref
        ),
        next_step=next_step,
    )
    if with_paper and not any(row.paper for table in document.tables() for row in table.rows):
        document = replace(document, warnings=(*document.warnings, NO_PAPER))
    return document


NO_PAPER = (
    "No figure of the paper stands here: what it prints is of the test sets of WebShop, "
    "ScienceWorld and ALFWorld, with its methods."
)


def _section(key: str, title: str, *blocks: Block | None) -> Section:
    return Section(key, title, blocks=tuple(block for block in blocks if block is not None))


def _comparisons(groups: Sequence[Cohort]) -> list[Table | None]:
    main = main_cohorts(groups)
    return [
        versus_table(
            [group for group in main if place.holds(group)],
            place.title if place.environment else "",
        )
        for place in places(main)
    ]


def _figures(groups: Sequence[Cohort]) -> list[Figure | None]:
    by_step = [reward_by_step(groups, place) for place in places(groups)]
    apart = [differences(groups, place) for place in places(groups)]
    return [reward_bars(groups), *apart, *by_step, reward_by_breadth(groups)]


def _paper_tables(groups: Sequence[Cohort], with_paper: bool) -> list[Table | None]:
    return [
        table_1(groups, with_paper=with_paper),
        family_table(groups, with_paper=with_paper),
        table_3(groups, with_paper=with_paper),
        table_5(groups, with_paper=with_paper),
        weak_quality_table(groups),
    ]


def _details(groups: Sequence[Cohort]) -> list[Table | None]:
    main = main_cohorts(groups) or groups
    by_type = [type_table(main, place) for place in places(main)]
    return [behaviour_table(main), endings_table(main), *by_type, sampling_table(main)]


def tree_table(title: str, figures: Mapping[str, float | int | str]) -> Table:
    """A forest (or one tree, or the mean of several) in figures."""
    numbers = all(isinstance(value, int | float) for value in figures.values())
    return Table(
        key="tree",
        title=title,
        columns=(Column("Figure", TEXT), Column("Value", NUMBER if numbers else TEXT)),
        rows=tuple(Row((Cell(name), Cell(value))) for name, value in figures.items()),
    )


def _source_label(descriptor: Descriptor) -> str:
    """Which cell of the tables this evaluation stands behind."""
    place = f"{place_name(descriptor.environment)} {descriptor.split}"
    parts = [descriptor.label, *([place.strip()] if descriptor.environment else [])]
    parts += [f"seed {descriptor.seed}"] if descriptor.seed is not None else []
    parts += [f"{name}={descriptor.parameters.get(name)}" for name in descriptor.varied]
    return ", ".join(parts)


def _warnings(evaluations: Sequence[Evaluated]) -> tuple[str, ...]:
    if not evaluations:
        return ("There are no evaluations, so there is nothing to report.",)
    found: dict[tuple[str, tuple[str, ...]], list[tuple[Descriptor, str]]] = {}
    for one in evaluations:
        descriptor = one.evaluation.descriptor
        for warning in (*descriptor.warnings, *one.evaluation.metrics.notes):
            words = tuple(_FIGURE.split(warning))
            found.setdefault((descriptor.label, words), []).append((descriptor, warning))
    # What is true of one row alone names it; what is true of several names what they share.
    return tuple(
        f"{_source_label(rows[0][0]) if len(rows) == 1 else label}: "
        f"{_as_one([text for _, text in rows])}"
        for (label, _), rows in found.items()
    )


_FIGURE = re.compile(r"[+-]?\d+(?:,\d{3})*(?:\.\d+)?%?")


def _as_one(texts: Sequence[str]) -> str:
    """Sentences that differ in their figures alone as one, with each figure's range."""
    words = _FIGURE.split(texts[0])
    columns = zip(*map(_FIGURE.findall, texts), strict=True)
    ranges = ["", *map(_range, columns)]
    return "".join(figure + word for figure, word in zip(ranges, words, strict=True))


def _range(figures: Sequence[str]) -> str:
    ordered = sorted(figures, key=lambda figure: float(figure.strip("%").replace(",", "")))
    return " to ".join(dict.fromkeys((ordered[0], ordered[-1])))
