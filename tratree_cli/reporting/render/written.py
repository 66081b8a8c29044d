"""A report as text in one of the file formats."""

from __future__ import annotations

import importlib
from pathlib import Path

from tratree_cli.reporting.document import ReportDocument


def written(document: ReportDocument, form: str) -> str:
    """The document as ``form``: terminal, html, markdown, latex, csv, results or json."""
    if form == "terminal":
        from rich.console import Console

        from tratree_cli.reporting.render import terminal

        console = Console(record=True, width=100, file=Path("/dev/null").open("w"))  # noqa: SIM115
        console.print(terminal.render(document, sections=None))
        return console.export_text()
    module = importlib.import_module(f"tratree_cli.reporting.render.{form}")
    return str(module.render(document))
