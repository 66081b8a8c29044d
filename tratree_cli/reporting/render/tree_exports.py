"""A trajectory tree for other programs: Mermaid, Graphviz, JSON, and a page that needs no network.

Texts are foreign: each language has its own characters that could end a label, and all of them are
replaced or escaped here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from tratree_cli.display.text import one_line
from tratree_cli.display.tree_outline import tree_outline
from tratree_cli.display.tree_rows import TreeRow
from tratree_cli.display.valid_actions import most_informative
from tratree_cli.formats.trees import TreeFile, node_rows
from tratree_cli.reporting.document import ReportDocument, Section
from tratree_cli.trees.search.api import SearchResult

_LABEL = 60
_MERMAID = str.maketrans({character: f"#{ord(character)};" for character in '#"&<>[](){}|`'})
"""Mermaid decodes ``#91;``; a bare bracket or quote would end the label."""


def tree_mermaid(rows: list[TreeRow], task: str) -> str:
    """A Mermaid flowchart; the best path has thick edges, stop leaves are round."""
    lines = ["flowchart TD", f'  n0["{_mermaid(task)}"]']
    names = _names(rows)
    known = set(names)
    thick = []
    for place, row in enumerate(rows):
        label = f"{_mermaid(row.text)}<br/>{_figures(row)}"
        shape = f'(["{label}"])' if row.stop else f'["{label}"]'
        lines.append(f"  {names[place]}{shape}")
        arrow = "==>" if row.best else "-->"
        lines.append(f"  {_above(row, known)} {arrow} {names[place]}")
        if row.best:
            thick.append(names[place])
    if thick:
        lines.append("  classDef best stroke-width:3px")
        lines.append(f"  class {','.join(thick)} best")
    return "\n".join(lines) + "\n"


def tree_dot(rows: list[TreeRow], task: str) -> str:
    """A Graphviz digraph."""
    lines = [
        "digraph tree {",
        '  node [shape=box, style=rounded, fontname="sans-serif"];',
        f'  n0 [label="{_dot(task)}"];',
    ]
    names = _names(rows)
    known = set(names)
    for place, row in enumerate(rows):
        style = ", penwidth=3" if row.best else ', style="rounded,dashed"' if row.stop else ""
        label = f"{_dot(row.text)}\\n{_figures(row)}"
        lines.append(f'  {names[place]} [label="{label}"{style}];')
        lines.append(f"  {_above(row, known)} -> {names[place]};")
    return "\n".join([*lines, "}"]) + "\n"


def tree_json(tree: TreeFile) -> Iterator[dict[str, Any]]:
    """Every node with its words, one mapping a node, for ``--json``."""
    texts, tasks = tree.texts, tree.forest.columns.tasks
    for record in chain.from_iterable(rows.records() for rows in node_rows(tree.forest)):
        root = record["parent"] < 0
        yield {
            **record,
            "task": tasks[record["tree"]],
            "action": texts[record["action"]] if record["action"] >= 0 else None,
            "observation": None if root else texts[record["observation"]],
            "thoughts": [[texts[thought], count] for thought, count in record["thoughts"]],
        }


def graph_json(tree: TreeFile) -> Iterator[dict[str, Any]]:
    """Every answer of a state graph with its words, one mapping an answer."""
    graph, texts = tree.graph, tree.texts
    assert graph is not None, "the tree has a state graph"
    answer, after, count = (column.tolist() for column in graph.transitions)
    led: dict[int, list[list[int]]] = {}
    for one, target, steps in zip(answer, after, count, strict=True):
        led.setdefault(one, []).append([target, steps])
    for one, (state, action) in enumerate(
        zip(graph.answer_state.tolist(), graph.answer_action.tolist(), strict=True)
    ):
        yield {
            "task": graph.columns.tasks[int(graph.task[state])],
            "state": state,
            "observation": texts[int(graph.observation[state])],
            "state_value": float(graph.value[state]),
            "state_distance": int(graph.distance[state]),
            "action": texts[action] if action >= 0 else None,
            "value": float(graph.answer_value[one]),
            "distance": int(graph.answer_distance[one]),
            "tried": int(graph.tried[one]),
            "successes": int(graph.won[one]),
            "led_to": led[one],
        }


def forest_html(
    tree: TreeFile, numbers: list[int] | None = None, search: SearchResult | None = None
) -> str:
    """A page of trees: of the five most informative ones without ``numbers``."""
    from tratree_cli.reporting.render.html import render

    chosen = most_informative(tree)[:5] if numbers is None else numbers
    return render(
        ReportDocument(
            title="Trajectory trees",
            subtitle=f"{len(chosen)} of {tree.forest.trees} trees",
            sections=(
                Section(
                    "trees",
                    "Trees",
                    (
                        "Each line is an action with the mean G and the number of trajectories "
                        "through it; unfold it for what was seen and thought.",
                    ),
                    tuple(tree_outline(tree, number, search) for number in chosen),
                ),
            ),
        )
    )


def _names(rows: list[TreeRow]) -> list[str]:
    return [f"s{row.node}" if row.stop else f"n{row.node}" for row in rows]


def _above(row: TreeRow, names: set[str]) -> str:
    """The parent's name; ``n0`` stands for the root, which is no row."""
    return f"n{row.parent}" if f"n{row.parent}" in names else "n0"


def _figures(row: TreeRow) -> str:
    return f"G {row.value:.2f}, n {row.visits}"


def _mermaid(text: str) -> str:
    return one_line(text, _LABEL).translate(_MERMAID)


def _dot(text: str) -> str:
    return one_line(text, _LABEL).replace("\\", "\\\\").replace('"', '\\"')
