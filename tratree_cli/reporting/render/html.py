"""A report as one HTML page: opens from disk, asks the network for nothing, runs no script.

Folding is the browser's own (``details``), so the page needs no JavaScript, and its content policy
forbids any: a script that slipped through escaping would still not run. Foreign texts are escaped
at the one place where they enter (``_escaped``). What is large is sampled, and says so.
"""

from __future__ import annotations

import hashlib
import html
from base64 import b64encode
from collections.abc import Container, Iterable, Iterator

from tratree_cli.display import formatting
from tratree_cli.display.blocks import (
    BEST,
    SECOND,
    SIGNIFICANT,
    TEXT,
    Block,
    Cell,
    Column,
    Comparison,
    Figure,
    Outline,
    Row,
    Table,
)
from tratree_cli.display.text import inert, one_line
from tratree_cli.reporting.document import ReportDocument, Section
from tratree_cli.reporting.render import figure_svg
from tratree_cli.reporting.render.html_blocks import comparison_html, outline_html
from tratree_cli.resources import templates_dir

ROWS_SHOWN = 500
"""Longer tables are cut here; the JSON and the CSV have every row."""
SOURCES_SHOWN = 500
ARTIFACTS_SHOWN = 1500
_SOURCE_COLUMNS = ("Figures of", "Evaluation", "Policy", "Command")


def render(report: ReportDocument) -> str:
    """The whole page as text (UTF-8 when written)."""
    style = (templates_dir() / "report" / "page.css").read_text("utf-8")
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Inline style attributes (the drawings' colours) need their own permission.
    policy = (
        f"default-src 'none'; img-src data:; style-src-elem 'sha256-{digest}'; "
        "style-src-attr 'unsafe-inline'"
    )
    title = _escaped(report.title)
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<link rel="icon" href="data:,">',
        f"<title>{title}</title><style>{style}</style></head><body>",
        f"<header><h1>{title}</h1>",
        f'<p class="soft">{_escaped(report.subtitle)}</p>' if report.subtitle else "",
        "</header>",
        _contents(report),
        "<main>",
        _warnings(report.warnings),
        *(_section(section) for section in report.sections),
        _sources(report),
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _escaped(text: str) -> str:
    return html.escape(one_line(text))


def _anchor(key: str) -> str:
    """An identifier without anything that HTML or a URL would read differently."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in key)


def _warnings(warnings: Iterable[str]) -> str:
    items = "".join(f"<li>{_escaped(warning)}</li>" for warning in warnings)
    return f'<ul class="warnings" aria-label="Warnings">{items}</ul>' if items else ""


def _contents(report: ReportDocument) -> str:
    links = [(section.key, section.title) for section in report.sections]
    if report.sources:
        links.append(("sources", "Sources"))
    items = "".join(
        f'<li><a href="#{_anchor(key)}">{_escaped(title)}</a></li>' for key, title in links
    )
    return f'<nav aria-label="Contents"><ul>{items}</ul></nav>' if len(links) > 1 else ""


def _section(section: Section) -> str:
    sentences = "".join(f"<li>{html.escape(inert(sentence))}</li>" for sentence in section.text)
    text = f'<ul class="findings">{sentences}</ul>' if sentences else ""
    blocks = "".join(_block(block) for block in section.blocks)
    head = f'<section id="{_anchor(section.key)}"><h2>{_escaped(section.title)}</h2>'
    return f"{head}{text}{blocks}</section>"


def _block(block: Block) -> str:
    notes = "".join(f'<p class="note">{_escaped(note)}</p>' for note in block.notes)
    if isinstance(block, Table):
        return f"{_scrolling(_table(block), block.title)}{notes}"
    heading = f"<h3>{_escaped(block.title)}</h3>"
    if isinstance(block, Figure):
        return f"{heading}{_figure(block)}{notes}"
    if isinstance(block, Outline):
        return f"{heading}{outline_html(block)}{notes}"
    assert isinstance(block, Comparison)
    return f"{heading}{comparison_html(block)}{notes}"


def _scrolling(content: str, name: str) -> str:
    """What may be wider than the screen scrolls by itself, with the keyboard too."""
    region = f'role="region" tabindex="0" aria-label="{_escaped(name)}"'
    return f'<div class="scroll" {region}>{content}</div>'


def _table(table: Table) -> str:
    head = "".join(
        f'<th scope="col"{_words(column)}>{_escaped(column.title)}</th>' for column in table.columns
    )
    rows = "".join(_row(row, table) for row in table.rows[:ROWS_SHOWN])
    left = len(table.rows) - ROWS_SHOWN
    if left > 0:
        notice = f"… {left} more rows: see the JSON or CSV"
        rows += f'<tr><td colspan="{len(table.columns)}">{notice}</td></tr>'
    caption = f"<caption>{_escaped(table.title)}</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(row: Row, table: Table) -> str:
    cells = []
    for index, (cell, column) in enumerate(zip(row.cells, table.columns, strict=True)):
        if index == 0:
            cells.append(f'<th scope="row">{_cell(cell, column)}</th>')
        else:
            cells.append(f"<td{_words(column)}>{_cell(cell, column)}</td>")
    kind = ' class="paper"' if row.paper else ""
    return f"<tr{kind}>{''.join(cells)}</tr>"


def _words(column: Column) -> str:
    return ' class="words"' if column.kind == TEXT else ""


def _cell(cell: Cell, column: Column) -> str:
    figure = html.escape(formatting.figure(cell, column))
    if cell.mark in (BEST, SECOND):
        name = "best" if cell.mark == BEST else "second"
        figure = f'<span class="{name}" title="{name} in this column">{figure}</span>'
    if cell.mark == SIGNIFICANT:
        figure += '<abbr title="significant, see the note">*</abbr>'
    spread = html.escape(formatting.spread(cell, column))
    bounds = html.escape(formatting.interval(cell, column))
    return (
        figure
        + (f' <span class="spread">{spread}</span>' if spread else "")
        + (f' <span class="range">{bounds}</span>' if bounds else "")
    )


def _figure(figure: Figure) -> str:
    """The drawing (where it can be made) and always its figures, folded away below it."""
    drawing = figure_svg.draw(figure) if figure_svg.available() else ""
    absent = (
        ""
        if drawing
        else '<p class="note">No drawing: install tratree with the extra "report" to get one.</p>'
    )
    drawn = _scrolling(drawing, f"Drawing: {figure.title}") if drawing else absent
    caption = f"<figcaption>{_escaped(figure.alt)}.</figcaption>" if figure.alt else ""
    fold = "" if drawing else " open"
    data = _scrolling(_table(_data_table(figure)), figure.title)
    return (
        f"<figure>{drawn}{caption}"
        f"<details{fold}><summary>Figures behind the drawing</summary>{data}</details></figure>"
    )


def _data_table(figure: Figure) -> Table:
    rows = tuple(
        Row((Cell(series.name), Cell(_x(point.x)), Cell(point.y, point.low, point.high)))
        for series in figure.series
        for point in series.points
    )
    columns = (Column("Series", TEXT), Column(figure.x_label, TEXT), Column(figure.y_label))
    return Table(f"{figure.key}-data", figure.title, columns, rows)


def _x(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _sources(report: ReportDocument) -> str:
    if not report.sources and not report.next_step:
        return ""
    return "".join(_source_parts(report))


def _source_parts(report: ReportDocument) -> Iterator[str]:
    yield '<section id="sources"><h2>Sources</h2>'
    if report.sources:
        yield (
            "<p>Every figure comes from these evaluations; the command beside one makes it again, "
            "with all that it was made from.</p>"
        )
        yield from _evaluations(report)
    if report.lineage:
        yield from _lineage(report)
    if report.next_step:
        yield f"<p>Next: <code>{_escaped(report.next_step)}</code></p>"
    yield "</section>"


def _evaluations(report: ReportDocument) -> Iterator[str]:
    linked = _linked(report)
    heads = "".join(f'<th scope="col" class="words">{title}</th>' for title in _SOURCE_COLUMNS)
    rows = [
        f'<tr><th scope="row">{_escaped(source.label)}</th>'
        f'<td class="words">{_reference(source.ref, linked)}</td>'
        f'<td class="words">{", ".join(_reference(ref, linked) for ref in source.inputs)}</td>'
        f'<td class="words"><code>{_escaped(source.command)}</code></td></tr>'
        for source in report.sources[:SOURCES_SHOWN]
    ]
    left = len(report.sources) - SOURCES_SHOWN
    if left > 0:
        rows.append(f'<tr><td colspan="4">… {left} more evaluations: see the JSON</td></tr>')
    table = (
        f"<table><caption>Evaluations behind the figures</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    yield _scrolling(table, "Evaluations behind the figures")


def _lineage(report: ReportDocument) -> Iterator[str]:
    """All artifacts once; a reference leads to what it was made from."""
    linked = _linked(report)
    rows = []
    shown: set[str] = set()
    for artifact in report.lineage[:ARTIFACTS_SHOWN]:
        # Several recipes may have given one object (the failure-safe case): one row is led to.
        anchor = "" if artifact.ref in shown else f' id="{_artifact(artifact.ref)}"'
        shown.add(artifact.ref)
        rows.append(
            f'<tr{anchor}><th scope="row"><code>{_escaped(_short(artifact.ref))}</code></th>'
            f'<td class="words">{_escaped(artifact.label)}</td><td class="words">'
            f"{', '.join(_reference(ref, linked) for ref in artifact.inputs)}</td></tr>"
        )
    left = len(report.lineage) - ARTIFACTS_SHOWN
    if left > 0:
        rows.append(f'<tr><td colspan="3">… {left} more artifacts: see the JSON</td></tr>')
    table = (
        "<table><caption>Lineage: every artifact after those it was made from</caption><thead><tr>"
        '<th scope="col">Artifact</th><th scope="col" class="words">What it is</th>'
        '<th scope="col" class="words">Made from</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    count = len(report.lineage)
    yield f"<details><summary>Lineage: {count} artifacts, from the demonstrations on</summary>"
    yield "<p class='note'><code>tratree store why REF</code> says why one was made, <code>tratree "
    yield "store verify REF --recompute</code> makes it again and compares the bytes.</p>"
    yield f"{_scrolling(table, 'Lineage')}</details>"


def _linked(report: ReportDocument) -> frozenset[str]:
    """The artifacts that have a row of their own to lead to."""
    return frozenset(artifact.ref for artifact in report.lineage[:ARTIFACTS_SHOWN])


def _short(ref: str) -> str:
    """``kind:`` and twelve digits: enough to find it in a store."""
    kind, colon, digest = ref.partition(":")
    return f"{kind}:{digest[:12]}" if colon else ref


def _artifact(ref: str) -> str:
    return f"artifact-{_anchor(_short(ref))}"


def _reference(ref: str, linked: Container[str]) -> str:
    """A reference; a link where the page has the artifact's own row."""
    code = f"<code>{_escaped(_short(ref))}</code>"
    return f'<a href="#{_artifact(ref)}">{code}</a>' if ref in linked else code
