"""A forest, and one tree of it, in the terminal.

Figures stand in columns at the right, the words at the left take what room is left and are cut, so
a tree reads the same at 80 columns as at 160. Chains without a choice are not indented: depth on
the page is the number of decisions. Colour repeats what the figures say and never says it alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from tratree_cli.display.colours import AMBER, GREEN, RED
from tratree_cli.display.sparkline import bar, sparkline
from tratree_cli.display.summaries import shared_text
from tratree_cli.display.text import counted, one_line
from tratree_cli.display.tree_rows import TreeRow, node_gaps, tree_rows
from tratree_cli.display.valid_actions import most_informative, valid_nodes
from tratree_cli.formats.trees import TreeFile
from tratree_cli.trees.columns import IntArray
from tratree_cli.trees.search.api import SearchResult
from tratree_cli.trees.sharing import read_and_distinct
from tratree_cli.trees.statistics import (
    ForestStatistics,
    forest_statistics,
    tree_informativeness,
)

_BAR = 8
_LEAST_ROOM = 52
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
        statistics_table(found, read_and_distinct(forest.columns, _characters(tree))),
        Text(""),
        quality_line(found),
    ]
    ranked = most_informative(tree)
    if ranked and trees:
        parts += [Text(""), _ranking(tree, ranked[:10])]
    limits = {"max_depth": max_depth, "max_rows": _ROWS_IN_OVERVIEW}
    for number in ranked[:trees]:
        parts += [Text(""), render_tree(tree, number, search, **limits, fold=True)]
    return Group(*parts)


def quality_line(found: ForestStatistics) -> Text:
    """One sentence: is the forest worth training on?"""
    level, sentence = found.quality
    return Text.assemble((level, f"bold {_LEVEL_STYLES[level]}"), "  ", one_line(sentence))


def _characters(tree: TreeFile) -> IntArray:
    return np.array([len(text) for text in tree.texts.texts], dtype=np.int64)


def statistics_table(found: ForestStatistics, shared: tuple[int, int]) -> Table:
    """Breadth, depth, informativeness and what is ``shared``, a row of words and figures each.

    ``shared`` are the characters of all trajectories and the distinct ones of them.
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
    members = _members(tree, number)
    task = one_line(forest.columns.tasks[number])
    head = Text.assemble((f"task {task}", "bold"))
    if not len(members):
        return Group(head, Text("nothing was explored here", style="dim"))
    best = float(forest.columns.score[members].max())
    head.append(
        f"  {counted(len(members), 'trajectory')}, {len(forest.nodes(number))} nodes, "
        f"{counted(int(forest.columns.success[members].sum()), 'success')}, best G ",
        style="dim",
    )
    head.append(f"{best:.2f}", style=score_style(best))
    instruction = tree.texts[tree.rollouts.trajectories[int(members[0])].instruction]
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
        head,
        Text(one_line(instruction), style="italic", no_wrap=True, overflow="ellipsis"),
        TreeLines(rows, root_gap, rare, legend),
        *notes,
    )


class TreeLines:
    """The rows of a tree, words at the left and figures in columns at the right."""

    def __init__(
        self, rows: Sequence[TreeRow], root_gap: float, root_hidden: int, legend: str
    ) -> None:
        self.rows = rows
        self.root_gap = root_gap
        self.root_hidden = root_hidden
        self.legend = legend

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ascii_only = options.ascii_only
        wide = options.max_width >= 100
        # "3/5" of a tree that was tried twenty thousand times needs more room.
        won = max([5, *(len(_won(row)) for row in self.rows)])
        figures = 23 + won + (_BAR + 2 if wide else 0)
        # On a wide terminal the figures stay near the words they belong to.
        needed = max((_needed(row, ascii_only) for row in self.rows), default=0)
        room = max(12, min(options.max_width - figures, max(needed, _LEAST_ROOM)))
        star, mark = ("*", "<") if ascii_only else ("★", "◆")
        titles = f"{'tried':>6}  {'G':>5}{'':{_BAR + 2 if wide else 0}}  {'won':>{won}}  {'gap':>4}"
        yield Text(" " * room + titles, style="dim", no_wrap=True, overflow="crop")
        if self.root_gap > 0 or self.root_hidden:
            start = "start" + _not_shown(self.root_hidden)
            gap = f"{mark}{self.root_gap:.2f}" if self.root_gap > 0 else ""
            yield Text(_fill(start, room) + f"{gap:>{figures - 2}}", style="dim", no_wrap=True)
        for row in self.rows:
            yield _line(row, room, won, wide, ascii_only)
        legend = (
            f"{star} {self.legend}   {mark} one state, different actions: how far G parts below"
        )
        yield Text(legend, style="dim", no_wrap=True, overflow="ellipsis")
        if any(row.ineffective for row in self.rows):
            words = f"{'x' if ascii_only else '✗'} had no effect"
            yield Text(words, style="dim", no_wrap=True, overflow="ellipsis")


def _guides(row: TreeRow, ascii_only: bool) -> str:
    bend, tee, pipe = ("`- ", "|- ", "|  ") if ascii_only else ("╰─ ", "├─ ", "│  ")
    guides = "".join(pipe if goes_on else "   " for goes_on in row.lines)
    return guides + ("" if row.only else bend if row.last else tee)


def _words(row: TreeRow, ascii_only: bool) -> str:
    words = one_line(row.text)
    if row.best:
        words = f"{'*' if ascii_only else '★'} {words}"
    if row.ineffective:
        words = f"{'x' if ascii_only else '✗'} {words}"
    return words + _not_shown(row.hidden)


def _beside(row: TreeRow) -> str:
    """What the action showed, where it had an effect."""
    return f"  {one_line(row.seen, 48)}" if row.seen and not row.ineffective else ""


def _not_shown(nodes: int) -> str:
    return f"  (+{nodes} not shown)" if nodes else ""


def _won(row: TreeRow) -> str:
    return f"{row.successes}/{row.visits}"


def _needed(row: TreeRow, ascii_only: bool) -> int:
    words = _words(row, ascii_only) + _beside(row)
    return cell_len(_guides(row, ascii_only)) + cell_len(words) + 2


def _line(row: TreeRow, room: int, won: int, wide: bool, ascii_only: bool) -> Text:
    mark = "<" if ascii_only else "◆"
    guides = _guides(row, ascii_only)
    # Deep branchings keep half of the room for words.
    if cell_len(guides) > room // 2:
        guides = ("<" if ascii_only else "‹") + guides[-(room // 2 - 1) :]
    colour = score_style(row.value)
    style = f"bold {colour}" if row.best else "dim italic" if row.stop else colour
    text = Text(no_wrap=True, overflow="crop", end="\n")
    text.append(guides, style="dim")
    words = _words(row, ascii_only)
    filled = _fill(words + _beside(row), room - cell_len(guides))
    text.append(filled[: len(words)], style=style)
    text.append(filled[len(words) :], style="dim")
    # Along a chain the figures would only repeat those of its first step.
    if row.only and row.depth > 1:
        text.append(" " * (15 + won + (_BAR + 2 if wide else 0)))
    else:
        text.append(f"{row.visits:>6}  ")
        text.append(f"{row.value:>5.2f}", style=colour)
        if wide:
            drawn = bar(row.value, 1.0, _BAR, ascii_only=ascii_only)
            text.append("  " + set_cell_size(drawn, _BAR), style=colour)
        text.append(f"  {_won(row):>{won}}", style="" if row.successes else "dim")
    if row.gap > 0:
        text.append(f"  {mark}{row.gap:.2f}", style="bold")
    text.rstrip()
    return text


def score_style(score: float) -> str:
    """The colour of a score in [0, 1]: red, amber, green."""
    return RED if score < 1 / 3 else AMBER if score < 2 / 3 else GREEN


def _fill(words: str, width: int) -> str:
    """``words`` cut or padded to exactly ``width`` cells, one of them free at the end."""
    if cell_len(words) >= width:
        return set_cell_size(words, max(1, width - 2)).rstrip() + "… "
    return set_cell_size(words, width)


def _members(tree: TreeFile, number: int) -> np.ndarray:
    columns = tree.forest.columns
    return np.flatnonzero(columns.counted & (columns.task == number))
