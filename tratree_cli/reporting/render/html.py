"""A report as one HTML page: opens from disk, asks the network for nothing, works without a script.

The templates (``templates/report/*.html``) escape every text that they print (jinja2's autoescape);
what passes as markup is made here and in the drawings, which escape for themselves. The page's
content policy admits the style and the one script that it carries, by their digests: whatever
slipped through escaping would still not run. Folding is the browser's own (``details``); the script
only saves drawings as files. What is large is sampled, and says so.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from tratree_cli.display.blocks import Block, Strip
from tratree_cli.reporting.document import Artifact, ReportDocument
from tratree_cli.reporting.render.html_filters import FILTERS, artifact_anchor, identifier
from tratree_cli.reporting.render.terms import Glossary
from tratree_cli.resources import templates_dir

if TYPE_CHECKING:
    from jinja2 import Environment

ROWS_SHOWN = 500
"""Longer tables are cut here; the JSON and the CSV have every row."""
SOURCES_SHOWN = 500
ARTIFACTS_SHOWN = 1500
STORY = "story"
"""The section that a page opens with, before its warnings."""


def render(report: ReportDocument) -> str:
    """The whole page as text (UTF-8 when written)."""
    report = report.told_once()
    style, script = _file("page.css"), _file("page.js")
    # The digest of what the parser sees between the tags: exactly the file's text.
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_digest(style)}'; "
        f"script-src 'sha256-{_digest(script)}'"
    )
    glossary = Glossary()
    places = _Places(report)
    artifacts = report.lineage[:ARTIFACTS_SHOWN]
    return (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            terms=glossary.mark,
            notes_of=places.notes,
            place_of=places.of,
            style=Markup(style),
            script=Markup(script),
            policy=policy,
            contents=_contents(report),
            glossary=glossary,
            told_first=bool(report.sections) and report.sections[0].key == STORY,
            rows_shown=ROWS_SHOWN,
            sources_shown=SOURCES_SHOWN,
            linked=frozenset(artifact.ref for artifact in artifacts),
            artifacts=_anchored(artifacts),
        )
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(templates_dir() / "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    return environment


def _file(name: str) -> str:
    return (templates_dir() / "report" / name).read_text("utf-8")


def _digest(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _contents(report: ReportDocument) -> list[tuple[str, str]]:
    links = [(identifier(section.key), section.title) for section in report.sections]
    return [*links, ("sources", "Sources")] if report.sources else links


def _anchored(artifacts: tuple[Artifact, ...]) -> list[tuple[Artifact, str]]:
    """Each artifact with its anchor.

    Several recipes may have given one object (the failure-safe case): one row is led to.
    """
    shown: set[str] = set()
    anchored = []
    for artifact in artifacts:
        anchored.append((artifact, "" if artifact.ref in shown else artifact_anchor(artifact.ref)))
        shown.add(artifact.ref)
    return anchored


class _Places:
    """Where each block stands in the page, and which notes were told before it."""

    def __init__(self, report: ReportDocument) -> None:
        self._anchors: dict[int, str] = {}
        self._told: dict[str, Block] = {}
        taken = {identifier(section.key) for section in report.sections} | {"sources", "terms"}
        for section in report.sections:
            for block in section.blocks:
                name = wanted = f"block-{identifier(block.key)}"
                number = 1
                while name in taken:
                    number += 1
                    name = f"{wanted}-{number}"
                taken.add(name)
                self._anchors[id(block)] = name

    def of(self, block: Block) -> str:
        """The block's anchor."""
        return self._anchors[id(block)]

    def notes(self, block: Block) -> dict[str, object]:
        """The notes that stand here, and the blocks under which the others stand already."""
        fresh = [note for note in block.notes if note not in self._told]
        before = [self._told[note] for note in block.notes if note in self._told]
        self._told.update(dict.fromkeys(fresh, block))
        repeated = {
            self.of(one): {"anchor": self.of(one), "title": one.title}
            for one in before
            if one is not block and not isinstance(one, Strip)
        }
        return {"fresh": fresh, "repeated": list(repeated.values())}
