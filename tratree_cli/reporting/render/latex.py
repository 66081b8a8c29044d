"""A report's tables as LaTeX with booktabs, ready to be taken into a paper.

A fragment, not a document: ``\\input`` it after ``\\usepackage{booktabs,graphicx}``. A table that
is wider than the text is made smaller, others keep their size. Figures are left to the
page and the JSON; every character that TeX would act on is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator

from tratree_cli.display import formatting
from tratree_cli.display.blocks import BEST, SECOND, SIGNIFICANT, TEXT, Cell, Column, Row, Table
from tratree_cli.display.text import one_line
from tratree_cli.reporting.document import ReportDocument

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "β": r"$\beta$",
    "×": r"$\times$",
    "γ": r"$\gamma$",
    "λ": r"$\lambda$",
    "π": r"$\pi$",
    "τ": r"$\tau$",
    "Δ": r"$\Delta$",
    "ξ": r"$\xi$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "√": r"$\surd$",
    "−": r"$-$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "¹": r"\textsuperscript{1}",
    "²": r"\textsuperscript{2}",
    "→": r"$\to$",
}

_NO_WIDER = r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


def render(report: ReportDocument) -> str:
    """All tables of the report, one ``table`` environment each."""
    lines = ["% \\usepackage{booktabs,graphicx}", f"% {escape(report.title)}", ""]
    for table in report.tables():
        lines += [*_table(table), ""]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Text in which TeX finds no command."""
    return "".join(_ESCAPES.get(character, character) for character in one_line(text))


def _table(table: Table) -> Iterator[str]:
    alignment = "".join("l" if column.kind == TEXT else "r" for column in table.columns)
    yield r"\begin{table}"
    yield r"  \centering"
    yield rf"  \caption{{{escape(table.title)}}}"
    yield rf"  \label{{tab:{_label(table.key)}}}"
    yield _NO_WIDER
    yield rf"  \begin{{tabular}}{{{alignment}}}"
    yield r"    \toprule"
    yield "    " + " & ".join(escape(column.title) for column in table.columns) + r" \\"
    yield r"    \midrule"
    for row in table.rows:
        yield "    " + " & ".join(_cells(row, table)) + r" \\"
    yield r"    \bottomrule"
    yield r"  \end{tabular}}"
    for note in table.notes:
        yield rf"  \par\smallskip\footnotesize {escape(note)}"
    yield r"\end{table}"


def _cells(row: Row, table: Table) -> Iterator[str]:
    for index, (cell, column) in enumerate(zip(row.cells, table.columns, strict=True)):
        text = _cell(cell, column)
        # A row that begins with "[" would be read as an option of the line break before it.
        text = f"{{}}{text}" if index == 0 and text.startswith("[") else text
        yield rf"\textit{{{text} (paper)}}" if row.paper and index == 0 else text


def _cell(cell: Cell, column: Column) -> str:
    text = escape(formatting.whole(cell, column))
    if cell.mark == BEST:
        return rf"\textbf{{{text}}}"
    if cell.mark == SECOND:
        return rf"\underline{{{text}}}"
    return rf"{text}$^{{*}}$" if cell.mark == SIGNIFICANT else text


def _label(key: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "-" for c in key)
