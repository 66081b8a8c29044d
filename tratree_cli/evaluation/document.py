"""What a report is made of: tables, figures, outlines and comparisons as plain values.

One document holds every number once; terminal, Markdown, LaTeX, CSV and HTML only differ in how
they draw it. Texts inside are data from models and environments: nothing here is markup, and each
renderer must escape all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = 1

TEXT = "text"
NUMBER = "number"
PERCENT = "percent"
COUNT = "count"
SECONDS = "seconds"
P_VALUE = "p"
RATIO = "ratio"
BEST = "best"
SECOND = "second"
SIGNIFICANT = "significant"


@dataclass(frozen=True)
class Column:
    """A column's title and how its numbers are written (``TEXT``, ``NUMBER``, ``COUNT``, ...)."""

    title: str
    kind: str = NUMBER


@dataclass(frozen=True)
class Cell:
    """A figure (or words) with its interval or spread; all None prints as a dash.

    ``low`` and ``high`` bound a bootstrap interval over tasks, ``sd`` is the standard deviation
    over training seeds. ``mark`` is ``BEST``, ``SECOND``, ``SIGNIFICANT`` or empty.
    """

    value: float | str | None = None
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """A table's row; ``paper`` marks figures that are the paper's and not one's own."""

    cells: tuple[Cell, ...]
    paper: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under columns; ``key`` names files and anchors, ``notes`` are sentences below it."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    """One point of a series; ``x`` may be a category."""

    x: float | str
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """A named line or group of bars."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Figure:
    """A chart: ``kind`` is ``lines``, ``bars`` or ``intervals`` (a point with its interval a row).

    ``alt`` says in words what it shows; ``mark`` is a value to compare with, named ``mark_label``.
    """

    key: str
    title: str
    kind: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    alt: str = ""
    notes: tuple[str, ...] = ()
    mark: float | None = None
    mark_label: str = ""


@dataclass(frozen=True)
class Branch:
    """A node of an outline, children inside: how a trajectory tree is drawn.

    ``text`` is the action, ``detail`` what hovering or unfolding shows (observation, thought),
    ``value`` the mean G through the node in [0, 1], ``visits`` its trajectories. ``best`` marks
    the selected path, ``divergence`` a node where branches part with different outcomes.
    """

    text: str
    detail: str = ""
    value: float | None = None
    visits: int | None = None
    best: bool = False
    divergence: bool = False
    children: tuple[Branch, ...] = ()


@dataclass(frozen=True)
class Outline:
    """A trajectory tree (or another hierarchy) with a caption."""

    key: str
    title: str
    root: Branch
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Turn:
    """One step of one policy in a comparison; ``differs`` from the first difference on."""

    action: str
    thought: str = ""
    observation: str = ""
    score: float | None = None
    differs: bool = False


@dataclass(frozen=True)
class Lane:
    """One policy's trajectory in a comparison."""

    label: str
    turns: tuple[Turn, ...]
    outcome: str = ""


@dataclass(frozen=True)
class Comparison:
    """Several policies on one task, side by side (Fig. 5)."""

    key: str
    title: str
    instruction: str
    lanes: tuple[Lane, ...]
    notes: tuple[str, ...] = ()


Block = Table | Figure | Outline | Comparison


@dataclass(frozen=True)
class Section:
    """A heading, sentences, and what stands below them."""

    key: str
    title: str
    text: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where figures came from: an artifact, the policy it evaluates, how to make it again."""

    ref: str
    label: str
    command: str = ""
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Artifact:
    """One artifact behind the figures: its reference, what it is, and what it was made from."""

    ref: str
    label: str
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportDocument:
    """A whole report. ``warnings`` are what a reader must know before believing a figure.

    ``lineage`` has every artifact behind the ``sources`` once, what it was made from before it.
    """

    title: str
    subtitle: str = ""
    sections: tuple[Section, ...] = ()
    warnings: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    next_step: str = ""
    lineage: tuple[Artifact, ...] = ()

    def section(self, key: str) -> Section | None:
        """The section named ``key``, if the report has it."""
        return next((section for section in self.sections if section.key == key), None)

    def tables(self) -> tuple[Table, ...]:
        """All tables, in reading order."""
        return tuple(b for s in self.sections for b in s.blocks if isinstance(b, Table))

    def figures(self) -> tuple[Figure, ...]:
        """All figures, in reading order."""
        return tuple(b for s in self.sections for b in s.blocks if isinstance(b, Figure))

    def to_json(self) -> dict[str, Any]:
        """The document as plain JSON values."""
        document = asdict(self)
        document["format"] = FORMAT
        for section, plain in zip(self.sections, document["sections"], strict=True):
            for block, fields in zip(section.blocks, plain["blocks"], strict=True):
                fields["block"] = type(block).__name__.lower()
        return document


def document_from(plain: Mapping[str, Any]) -> ReportDocument:
    """The document that ``ReportDocument.to_json`` wrote."""
    return ReportDocument(
        title=plain["title"],
        subtitle=plain["subtitle"],
        sections=tuple(map(_section, plain["sections"])),
        warnings=tuple(plain["warnings"]),
        sources=tuple(
            Source(**{**source, "inputs": tuple(source["inputs"])}) for source in plain["sources"]
        ),
        next_step=plain["next_step"],
        lineage=tuple(
            Artifact(**{**artifact, "inputs": tuple(artifact["inputs"])})
            for artifact in plain.get("lineage", ())
        ),
    )


def _section(plain: Mapping[str, Any]) -> Section:
    return Section(
        key=plain["key"],
        title=plain["title"],
        text=tuple(plain["text"]),
        blocks=tuple(map(_block, plain["blocks"])),
    )


def _block(plain: Mapping[str, Any]) -> Block:
    fields = dict(plain)
    kind = fields.pop("block")
    fields["notes"] = tuple(fields["notes"])
    if kind == "table":
        fields["columns"] = tuple(Column(**column) for column in fields["columns"])
        fields["rows"] = tuple(
            Row(tuple(Cell(**cell) for cell in row["cells"]), row["paper"])
            for row in fields["rows"]
        )
        return Table(**fields)
    if kind == "figure":
        fields["series"] = tuple(
            Series(one["name"], tuple(Point(**point) for point in one["points"]))
            for one in fields["series"]
        )
        return Figure(**fields)
    if kind == "outline":
        fields["root"] = _branch(fields["root"])
        return Outline(**fields)
    fields["lanes"] = tuple(
        Lane(lane["label"], tuple(Turn(**turn) for turn in lane["turns"]), lane["outcome"])
        for lane in fields["lanes"]
    )
    return Comparison(**fields)


def _branch(plain: Mapping[str, Any]) -> Branch:
    return Branch(**{**plain, "children": tuple(map(_branch, plain["children"]))})
