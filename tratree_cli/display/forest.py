"""A forest, and one tree of it, in the terminal.

Figures stand in columns at the right, the words at the left take what room is left and are cut, so
a tree reads the same at 80 columns as at 160. Chains without a choice are not indented: depth on
the page is the number of decisions. Colour repeats what the figures say and never says it alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tratree_cli.display.colours import AMBER, GREEN, RED
from tratree_cli.display.graph_rows import GRAPH_LEGEND, graph_rows
from tratree_cli.display.sparkline import sparkline
from tratree_cli.display.summaries import graph_facts, progress_words, shared_text
from tratree_cli.display.text import counted, one_line
from tratree_cli.display.tree_lines import TreeLines, score_style
from tratree_cli.display.tree_rows import node_gaps, tree_rows
from tratree_cli.display.valid_actions import most_informative, valid_nodes
from tratree_cli.formats.trees import TreeFile
from tratree_cli.trees.columns import IntArray
from tratree_cli.trees.progress import graph_figures, tree_progress
from tratree_cli.trees.search.api import SearchResult
from tratree_cli.trees.sharing import read_and_distinct
from tratree_cli.trees.statistics import (
    ForestStatistics,
    forest_statistics,
    tree_informativeness,
)

_ROWS_IN_OVERVIEW = 40
_LEVEL_STYLES = {"good": GREEN, "thin": AMBER, "empty": RED}


def render_forest(
    tree: TreeFile, trees: int = 2, search: SearchResult | None = None, max_depth: int = 0
) -> RenderableType:
    """Figures of the whole forest, then its ``trees`` most informative trees."""
    forest = tree.forest
    found = forest_statistics(forest)
    place = str(tree.rollouts.environment.get("name", ""))
    counted_trees = counted(found.trees, "tree")
    title = f"{counted_trees} of {counted(found.trajectories, 'trajectory')}"
    if place:
        title += f" · {place} {tree.rollouts.split}".rstrip()
    parts: list[RenderableType] = [
        Text(one_line(title), style="bold"),
        Text(""),
        statistics_table(
            found,
            read_and_distinct(forest.columns, _characters(tree)),
            {**_progress(tree), **(graph_facts(graph_figures(tree.graph)) if tree.graph else {})},
        ),
        Text(""),
        quality_line(found),
    ]
    ranked = most_informative(tree)
    if ranked and trees:
        parts += [Text(""), _ranking(tree, ranked[:10])]
    limits = {"max_depth": max_depth, "max_rows": _ROWS_IN_OVERVIEW}
    for number in ranked[:trees]:
        drawn = (
            render_graph(tree, number, **limits)
            if tree.graph is not None
            else render_tree(tree, number, search, **limits, fold=True)
        )
        parts += [Text(""), drawn]
    return Group(*parts)


def _progress(tree: TreeFile) -> dict[str, str]:
    progress = tree_progress(tree.forest)
    shares = {
        "failed_steps_in_progress": progress.of_failed,
        "successful_steps_without": progress.idle_of_successful,
    }
    return {"progress": progress_words(shares)}


def quality_line(found: ForestStatistics) -> Text:
    """One sentence: is the forest worth training on?"""
    level, sentence = found.quality
    return Text.assemble((level, f"bold {_LEVEL_STYLES[level]}"), "  ", one_line(sentence))


def _characters(tree: TreeFile) -> IntArray:
    return np.array([len(text) for text in tree.texts.texts], dtype=np.int64)


def statistics_table(
    found: ForestStatistics, shared: tuple[int, int], more: Mapping[str, str] | None = None
) -> Table:
    """Breadth, depth, informativeness and what is ``shared``, a row of words and figures each.

    ``shared`` are the characters of all trajectories and the distinct ones of them; ``more`` are
    rows that follow.
    """
    flat, unique = shared
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    breadth = found.children_by_depth
    outcome = (
        f"mean G {found.mean_score:.2f}, best per task {found.best_score:.2f}, "
        f"success {found.success_rate:.0%}"
    )
    if found.uncounted:
        outcome += f"; {found.uncounted} without a score stay outside"
    rows = (
        ("outcome", outcome),
        (
            "size",
            f"{found.nodes:,} nodes for {found.steps:,} steps ({found.compression:.1f} per node)",
        ),
        (
            "breadth",
            f"{found.paths_per_tree:.1f} distinct paths per tree"
            + (
                f"; children by depth {', '.join(f'{c:.1f}' for c in breadth[:8])}"
                if breadth
                else ""
            )
            + (" …" if len(breadth) > 8 else ""),
        ),
        (
            "depth",
            f"mean {found.mean_depth:.1f}, max {found.max_depth}; {found.ended:.0%} ended by "
            "themselves",
        ),
        (
            "informative",
            f"{found.divergent:.0%} of inner nodes diverge, mean gap {found.gap:.2f}; "
            f"{found.informative_trees:.0%} of trees teach; entropy {found.entropy:.2f} bits",
        ),
        (
            "sharing",
            shared_text(flat / unique if unique else 1.0, unique),
        ),
        *(more or {}).items(),
    )
    for name, words in rows:
        table.add_row(Text(name), Text(words))
    return table


def _ranking(tree: TreeFile, order: Sequence[int]) -> Table:
    forest = tree.forest
    widest = tree_informativeness(forest, valid_nodes(tree))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("most informative", no_wrap=True, overflow="ellipsis", max_width=40)
    for name in ("tried", "nodes", "best G", "valid gap"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("outcomes", no_wrap=True)
    for number in order:
        scores = np.sort(forest.columns.score[_members(tree, number)])
        table.add_row(
            Text(one_line(forest.columns.tasks[number])),
            Text(str(len(scores))),
            Text(str(len(forest.nodes(number)))),
            Text(f"{scores[-1]:.2f}", style=score_style(float(scores[-1]))),
            Text(f"{widest[number]:.2f}"),
            Text(sparkline(scores.tolist(), 12, low=0.0, high=1.0)),
        )
    return table


def render_tree(
    tree: TreeFile,
    number: int,
    search: SearchResult | None = None,
    *,
    max_depth: int = 0,
    min_visits: int = 0,
    max_rows: int = 400,
    fold: bool = False,
) -> RenderableType:
    """Tree ``number``: every action with visits, mean score, successes, divergences, best path.

    ``max_depth`` and ``min_visits`` leave nodes out (0: none); at most ``max_rows`` are drawn.
    ``fold`` tells long runs of steps without a choice in one row. What is left out is said.
    """
    forest = tree.forest
    if not len(_members(tree, number)):
        return Group(_head(tree, number), Text("nothing was explored here", style="dim"))
    rows = tree_rows(tree, number, search, max_depth, min_visits, max_rows, fold)
    root = int(forest.roots[number])
    root_gap = node_gaps(forest, number).get(root, 0.0)
    rare = sum(int(forest.visits[child]) < min_visits for child in forest.children(root))
    legend = "e* of the search" if search is not None else "best observed"
    drawn = len({row.node for row in rows}) + 1 + sum(row.folded for row in rows)
    left = len(forest.nodes(number)) - drawn
    notes = []
    if left:
        words = f"{left:,} of {left + drawn:,} nodes are not drawn"
        if len(rows) == max_rows and not (max_depth or min_visits):
            words += "; --depth and --min-visits choose which"
        notes.append(Text(words, style="dim"))
    return Group(
        _head(tree, number),
        _instruction(tree, number),
        TreeLines(rows, root_gap, rare, legend),
        *notes,
    )


def render_graph(
    tree: TreeFile, number: int, *, max_depth: int = 0, min_visits: int = 0, max_rows: int = 400
) -> RenderableType:
    """The state graph of task ``number``: every action in every state, each state drawn once.

    ``max_depth`` and ``min_visits`` leave answers out (0: none); at most ``max_rows`` are drawn.
    """
    if not len(_members(tree, number)):
        return Group(_head(tree, number), Text("nothing was explored here", style="dim"))
    rows, gap = graph_rows(tree, number, max_depth, min_visits)
    notes = [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in GRAPH_LEGEND]
    if len(rows) > max_rows:
        words = f"{len(rows) - max_rows:,} of {len(rows):,} rows are not drawn"
        notes.append(Text(words, style="dim"))
    return Group(
        _head(tree, number),
        _instruction(tree, number),
        TreeLines(rows[:max_rows], gap, 0, "best observed"),
        *notes,
    )


def _head(tree: TreeFile, number: int) -> Text:
    """The task and what came of its trajectories."""
    forest = tree.forest
    members = _members(tree, number)
    head = Text.assemble((f"task {one_line(forest.columns.tasks[number])}", "bold"))
    if len(members):
        best = float(forest.columns.score[members].max())
        size = counted(len(forest.nodes(number)), "node")
        if tree.graph is not None:
            size = counted(int((tree.graph.task == number).sum()), "state")
        head.append(
            f"  {counted(len(members), 'trajectory')}, {size}, "
            f"{counted(int(forest.columns.success[members].sum()), 'success')}, best G ",
            style="dim",
        )
        head.append(f"{best:.2f}", style=score_style(best))
    return head


def _instruction(tree: TreeFile, number: int) -> Text:
    first = tree.rollouts.trajectories[int(_members(tree, number)[0])]
    words = one_line(tree.texts[first.instruction])
    return Text(words, style="italic", no_wrap=True, overflow="ellipsis")


def _members(tree: TreeFile, number: int) -> np.ndarray:
    columns = tree.forest.columns
    return np.flatnonzero(columns.counted & (columns.task == number))
