"""A report as plain values: sections of blocks, where its figures came from, and what to heed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tratree_cli.display.blocks import (
    Block,
    Branch,
    Cell,
    Column,
    Comparison,
    Figure,
    Gallery,
    Lane,
    Outline,
    Point,
    Row,
    Series,
    Strip,
    StripStep,
    Table,
    Turn,
)

FORMAT = 1


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
class ResultLine:
    """One evaluation of a study: what anyone needs to do its statistics anew.

    ``variant`` is empty for a method as the recipe has it, else what tells this row from that: the
    name of a control (``nll-only``), varied settings, other base models. ``data_seed`` orders the
    training rows. ``reward`` is the average reward times 100, the others are percentages of
    episodes: ``success`` by the environment's own definition, ``strict`` with a reward of 1,
    ``finished`` ended by themselves. None where there is none.
    """

    environment: str
    split: str
    method: str
    variant: str
    seed: int | None
    data_seed: int | None
    tasks: int
    reward: float | None
    success: float | None
    strict: float | None
    finished: float | None


@dataclass(frozen=True)
class ReportDocument:
    """A whole report. ``warnings`` are what a reader must know before believing a figure.

    ``lineage`` has every artifact behind the ``sources`` once, what it was made from before it;
    ``results`` has a line for every evaluation, cells of a sweep included. ``origin`` says when, by
    which version and where the report was made. It is added when a report is shown and is empty in
    the artifact, because equal recipes must give equal bytes.
    """

    title: str
    subtitle: str = ""
    sections: tuple[Section, ...] = ()
    warnings: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    next_step: str = ""
    lineage: tuple[Artifact, ...] = ()
    origin: tuple[str, ...] = ()
    results: tuple[ResultLine, ...] = ()

    def section(self, key: str) -> Section | None:
        """The section named ``key``, if the report has it."""
        return next((section for section in self.sections if section.key == key), None)

    def told_once(self) -> ReportDocument:
        """The document with each sentence in the first of its sections alone.

        The sections that open a report repeat what stands in a later one, because a terminal shows
        only the later one.
        """
        told: set[str] = set()
        sections = []
        for section in self.sections:
            text = tuple(sentence for sentence in section.text if sentence not in told)
            told.update(text)
            sections.append(replace(section, text=text))
        return replace(self, sections=tuple(sections))

    def with_warnings(self, *warnings: str) -> ReportDocument:
        """The document with these warnings after its own."""
        return replace(self, warnings=(*self.warnings, *warnings))

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
        origin=tuple(plain.get("origin", ())),
        results=tuple(ResultLine(**line) for line in plain.get("results", ())),
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
        if fields["kind"] == "bars":  # as earlier versions drew rewards
            fields["kind"] = "intervals"
        fields["series"] = tuple(
            Series(**{**series, "points": tuple(Point(**point) for point in series["points"])})
            for series in fields["series"]
        )
        return Figure(**fields)
    if kind == "outline":
        fields["root"] = _branch(fields["root"])
        return Outline(**fields)
    if kind == "strip":
        fields["steps"] = tuple(StripStep(**step) for step in fields["steps"])
        return Strip(**fields)
    if kind == "gallery":
        fields["tasks"] = tuple(map(_comparison, fields["tasks"]))
        return Gallery(**fields)
    return _comparison(fields)


def _comparison(plain: Mapping[str, Any]) -> Comparison:
    fields = {**plain, "notes": tuple(plain["notes"])}
    fields["lanes"] = tuple(
        Lane(lane["label"], tuple(Turn(**turn) for turn in lane["turns"]), lane["outcome"])
        for lane in fields["lanes"]
    )
    return Comparison(**fields)


def _branch(plain: Mapping[str, Any]) -> Branch:
    return Branch(**{**plain, "children": tuple(map(_branch, plain["children"]))})
