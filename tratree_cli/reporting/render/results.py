"""A study's results: CSV with one line for every environment, split, method, variant and seed.

Files of several stores can be put one below the other (without their first lines); the script
``docs/study/recompute.py`` makes the main table from such a file with nothing but Python.
"""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, fields

from tratree_cli.reporting.document import ReportDocument, ResultLine
from tratree_cli.reporting.render.csv import inert

COLUMNS = tuple(field.name for field in fields(ResultLine))


def render(report: ReportDocument) -> str:
    """The lines in their order; figures with four decimals, what is not known empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in report.results:
        writer.writerow(_written(value) for value in asdict(line).values())
    return text.getvalue()


def _written(value: str | int | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return inert(value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)
