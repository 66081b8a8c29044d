"""How store things look in a terminal: listings, lineage, reasons, comparisons.

Everything that comes out of an artifact (names of files, summaries, commands of other people's
machines) is foreign text: it is shown as ``Text``, never as markup, without control characters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from tratree_cli.display.colours import CYAN
from tratree_cli.display.headlines import headline
from tratree_cli.display.text import age, duration, one_line, size

if TYPE_CHECKING:
    from tratree_store.differences import Comparison
    from tratree_store.entries import Entry
    from tratree_store.lineage import Lineage
    from tratree_store.why import Reason


def foreign(text: object, style: str = "") -> Text:
    """Text of unknown origin: control characters are replaced, brackets stay brackets."""
    return Text(one_line(str(text)), style=style)


def summary_text(summary: Mapping[str, Any], width: int = 60) -> str:
    """The leading scalar facts of a summary in one line, at most ``width`` long (0: whole)."""
    facts = [
        f"{key.replace('_', ' ')} {value:.4g}"
        if isinstance(value, float)
        else f"{key.replace('_', ' ')} {value}"
        for key, value in summary.items()
        if isinstance(value, str | int | float)
    ]
    text = ", ".join(facts)
    return text if not width or len(text) <= width else text[: width - 1] + "…"


def listing(
    entries: Sequence[Entry],
    names: dict[str, str],
    now: float,
    *,
    long: bool = False,
    title: Callable[[str], str] = str,
) -> Table | Group:
    """One line an artifact, newest first: what it is, its reference, its age.

    Environment and recipe are named where the entries differ in them; ``long`` puts everything
    else below each line. ``title`` is what tables call a method of a name.
    """
    by_ref: dict[str, list[str]] = {}
    for name, ref in names.items():
        by_ref.setdefault(ref, []).append(name)
    origins = [_origin(entry) for entry in entries]
    differing = [len({origin[i] for origin in origins if origin[i]}) > 1 for i in (0, 1)]
    rows = []
    for entry, origin in zip(entries, origins, strict=True):
        label = str(entry.provenance.get("label") or entry.stage)
        said = [headline(entry.kind, entry.summary, label, title)]
        said += [part for part, differs in zip(origin, differing, strict=True) if differs and part]
        named = " ".join(map(one_line, by_ref.get(entry.ref, ())))
        words = Text(no_wrap=True, overflow="ellipsis")
        words.append(named, f"bold {CYAN}")
        words.append(("  " if named else "") + one_line(" · ".join(said)))
        short = foreign(f"{entry.kind}:{entry.object[: 12 if long else 8]}", CYAN)
        rows.append((words, short, f"{age(max(0.0, now - entry.created))} ago"))
    if long:
        return Group(
            *(
                part
                for entry, origin, (what, ref, made) in zip(entries, origins, rows, strict=True)
                for part in (_first_line(what, ref, made), _more(entry, origin))
            )
        )
    table = Table(box=None, pad_edge=False, header_style="bold")
    # Only the words give way in a narrow terminal; what tells rows apart is never cut.
    table.add_column("what")
    table.add_column("artifact", no_wrap=True)
    table.add_column("made", no_wrap=True, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def _first_line(what: Text, ref: Text, made: str) -> Text:
    return Text.assemble(ref, "  ", what, (f"  {made}", "dim"))


def _more(entry: Entry, origin: tuple[str, str]) -> Padding:
    """What the first line of an artifact leaves out."""
    facts = [entry.stage, *filter(None, origin), f"took {duration(entry.seconds)}"]
    words = " · ".join([*facts, size(entry.size), summary_text(entry.summary, width=0)])
    return Padding(foreign(words.removesuffix(" · "), "dim"), (0, 0, 0, 4))


def _origin(entry: Entry) -> tuple[str, str]:
    """Environment and recipe that an artifact was made with; empty where they are not recorded."""
    config = entry.provenance.get("config") or {}
    return str((config.get("env") or {}).get("name") or ""), str(config.get("recipe") or "")


def details(entry: Entry, files: Iterable[tuple[str, int]], names: Iterable[str]) -> Tree:
    """Everything about one artifact."""
    tree = Tree(foreign(entry.ref, f"bold {CYAN}"))
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
    tree = Tree(foreign(graph.label(root), f"bold {CYAN}"))
    drawn = {root}
    todo = [(tree, root)]
    while todo:
        branch, node = todo.pop()
        for edge in graph.inputs_of(node):
            text = foreign(f"{edge.role} ← {graph.label(edge.source)}")
            again = edge.source in drawn and bool(graph.inputs_of(edge.source))
            below = branch.add(Text.assemble(text, " (drawn elsewhere)") if again else text)
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
