"""What commands print: content on stdout, sentences for people on stderr, each in one way.

stdout carries references, JSON lines or content and nothing else; everything that speaks to a
person goes to stderr. Foreign text never reaches a terminal unfiltered (``display.text``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tratree_cli.display.text import sentence

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from tratree_store import Entry

WIDE = 200
"""Columns of a listing where stdout is no terminal."""


def say(words: str) -> None:
    """One sentence for people, on stderr."""
    sys.stderr.write(sentence(words, sys.stderr) + "\n")


def print_line(text: str) -> None:
    """One line of content on stdout: a reference, a path."""
    sys.stdout.write(f"{text}\n")


def print_text(text: str) -> None:
    """A whole text on stdout as it is: a report in a file format, a drawing."""
    sys.stdout.write(text)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on a line of its own."""
    print_json_lines((value,))


def print_json_lines(values: Iterable[Any]) -> None:
    """JSON values, one a line, as they come."""
    import orjson

    for value in values:
        sys.stdout.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE).decode())


def print_content(renderable: RenderableType) -> None:
    """Content for people, on stdout: as wide as the terminal or ``COLUMNS``, else ``WIDE``."""
    content_console().print(renderable)


def content_console() -> Console:
    """The console of ``print_content``."""
    from rich.console import Console

    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    return Console(width=None if known else WIDE, highlight=False)


def entry_json(entry: Entry) -> dict[str, Any]:
    """An artifact as ``--json`` prints it, whichever command names it."""
    return {
        "ref": entry.ref,
        "kind": entry.kind,
        "object": entry.object,
        "recipe": entry.recipe,
        "stage": entry.stage,
        "path": str(entry.path),
        "created": entry.created,
        "seconds": entry.seconds,
        "size": entry.size,
        "inputs": entry.document.get("inputs", {}),
        "summary": entry.summary,
        "warnings": entry.provenance.get("warnings", []),
    }
