"""Which formats a report can be written in; each renderer is imported only when it is asked for."""

from __future__ import annotations

from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.evaluation.document import ReportDocument

FORMATS = {
    "markdown": ".md",
    "latex": ".tex",
    "json": ".json",
    "csv": ".csv",
    "html": ".html",
}
"""Format to the suffix of its files (``terminal`` is rendered by ``report_terminal``)."""


def render_text(report: ReportDocument, form: str) -> str:
    """The report in one of ``FORMATS``; ``InputError`` for any other name."""
    if form == "markdown":
        from tratree_cli.display import report_markdown

        return report_markdown.render(report)
    if form == "latex":
        from tratree_cli.display import report_latex

        return report_latex.render(report)
    if form == "json":
        from tratree_cli.display import report_data

        return report_data.render_json(report)
    if form == "csv":
        from tratree_cli.display import report_data

        return report_data.render_csv(report)
    if form == "html":
        from tratree_cli.display import report_html

        return report_html.render(report)
    known = ", ".join(("terminal", *FORMATS))
    raise InputError(
        f"unknown report format '{form}'{did_you_mean(form, FORMATS)}; the formats are {known}"
    )
