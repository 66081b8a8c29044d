"""A report for other programs: the whole document as JSON, texts unchanged.

``reporting.document.document_from`` reads it back to the same document.
"""

from __future__ import annotations

import orjson

from tratree_cli.reporting.document import ReportDocument


def render(report: ReportDocument) -> str:
    """The document with sorted keys: equal reports give equal texts."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(report.to_json(), option=options).decode()
