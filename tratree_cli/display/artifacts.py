"""How store things look in a terminal: listings, lineage, reasons, comparisons.

Everything that comes out of an artifact (names of files, summaries, commands of other people's
machines) is foreign text: it is shown as ``Text``, never as markup, without control characters.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from tratree_cli.display.text import duration, one_line, size

if TYPE_CHECKING:
    from tratree_store.differences import Comparison
    from tratree_store.entries import Entry
    from tratree_store.lineage import Lineage
    from tratree_store.why import Reason


def foreign(text: object, style: str = "") -> Text:
    """Text of unknown origin: control characters are replaced, brackets stay brackets."""
    return Text(one_line(str(text)), style=style)


def summary_text(summary: dict[str, Any], width: int = 60) -> str:
    """The leading scalar facts of a summary in one line."""
    facts = [
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in summary.items()
        if isinstance(value, str | int | float)
    ]
    text = ", ".join(facts)
    return text if len(text) <= width else text[: width - 1] + "…"


def listing(entries: Iterable[Entry], names: dict[str, str], now: float) -> Table:
    """One line an artifact, newest first."""
    by_ref: dict[str, list[str]] = {}
    for name, ref in names.items():
        by_ref.setdefault(ref, []).append(name)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("artifact", "stage", "made", "took", "size"):
        table.add_column(column, no_wrap=True, justify="right" if column == "size" else "left")
    table.add_column("names")
    table.add_column("summary", overflow="fold")
    for entry in entries:
        table.add_row(
            foreign(f"{entry.kind}:{entry.object[:12]}", "cyan"),
            foreign(entry.stage),
            f"{duration(max(0.0, now - entry.created))} ago",
            duration(entry.seconds),
            size(entry.size),
            foreign(", ".join(by_ref.get(entry.ref, ()))),
            foreign(summary_text(entry.summary)),
        )
    return table


def details(entry: Entry, files: Iterable[tuple[str, int]], names: Iterable[str]) -> Tree:
    """Everything about one artifact."""
    tree = Tree(foreign(entry.ref, "bold cyan"))
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.created))
    tree.add(foreign(f"made by {entry.stage} on {made} in {duration(entry.seconds)}"))
    tree.add(foreign(f"recipe {entry.recipe}"))
    tree.add(foreign(f"path {entry.path}"))
    named = ", ".join(names)
    if named:
        tree.add(foreign(f"names {named}"))
    _add_mapping(tree, "inputs", {role: ", ".join(ds) for role, ds in entry.inputs.items()})
    for part in ("params", "templates", "models", "environment"):
        _add_mapping(tree, part, entry.document.get(part) or {})
    _add_mapping(tree, "summary", entry.summary)
    _add_mapping(tree, "provenance", entry.provenance)
    branch = tree.add(f"files ({size(entry.size)})")
    for name, length in files:
        branch.add(foreign(f"{name}  {size(length)}"))
    return tree


def _add_mapping(tree: Tree, title: str, mapping: dict[str, Any]) -> None:
    if not mapping:
        return
    branch = tree.add(title)
    for key, value in mapping.items():
        if isinstance(value, dict):
            _add_mapping(branch, key, value)
        else:
            branch.add(foreign(f"{key} = {value}"))


def reasons(reason: Reason, title: str) -> Tree:
    """Why an artifact was made, as a small tree."""
    tree = Tree(foreign(title, "bold"))
    _add_reason(tree, reason)
    return tree


def _add_reason(tree: Tree, reason: Reason) -> None:
    branch = tree.add(foreign(reason.text))
    for inner in reason.because:
        _add_reason(branch, inner)


def ancestry(graph: Lineage, root: str) -> Tree:
    """What an artifact was made from; what was drawn before is named, not drawn again."""
    tree = Tree(foreign(graph.label(root), "bold cyan"))
    drawn = {root}
    todo = [(tree, root)]
    while todo:
        branch, node = todo.pop()
        for edge in graph.inputs_of(node):
            text = foreign(f"{edge.role} ← {graph.label(edge.source)}")
            again = edge.source in drawn and bool(graph.inputs_of(edge.source))
            below = branch.add(Text.assemble(text, " (above)") if again else text)
            if edge.source not in drawn:
                drawn.add(edge.source)
                todo.append((below, edge.source))
    return tree


def comparison(found: Comparison) -> Tree:
    """Two artifacts side by side."""
    before, after = found.before, found.after
    tree = Tree(foreign(f"{before.ref[:24]} → {after.ref[:24]}", "bold"))
    if found.same_content:
        tree.add("the same content")
    for title in ("recipe", "summary", "files", "contents"):
        differing = getattr(found, title)
        if differing:
            branch = tree.add(title)
            for change in differing[:200]:
                branch.add(foreign(change))
            if len(differing) > 200:
                branch.add(f"and {len(differing) - 200} more")
    return tree
