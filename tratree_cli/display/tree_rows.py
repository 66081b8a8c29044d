"""One trajectory tree as rows: what every picture of it (terminal, Mermaid, dot, HTML) is made of.

A row is a node, or the virtual leaf of trajectories that stop where others go on. Rows stand in
the order in which they are read, best-supported branches not moved: insertion order is part of the
data. What is too deep or too rare is left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from tratree_cli.display.seen import seen
from tratree_cli.formats.trees import TreeFile
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.search.api import SearchResult

NO_ACTION_WORDS = "(no action could be read)"
STOP_WORDS = "(stops here)"
LONGEST_RUN = 5
"""Steps in a row, without a choice, that a drawing tells one by one."""


@dataclass(frozen=True)
class TreeRow:
    """A node to draw.

    ``level`` counts the branchings above it (chains are drawn without indentation), ``depth`` the
    steps. ``value`` is the mean G, ``successes`` of ``visits`` succeeded. ``gap`` is the widest
    difference of mean G between branches that answer one state differently (0: no divergence).
    ``only`` says that it is its parent's only way on; ``last`` that no sibling follows. ``hidden``
    nodes below it are left out. ``best`` lies on e*. A row may stand for ``folded`` more nodes.
    ``seen`` is what the action showed; ``ineffective`` says that it never had an effect.
    """

    node: int
    parent: int
    depth: int
    text: str
    observation: str
    thoughts: tuple[tuple[str, int], ...]
    visits: int
    value: float
    successes: int
    endings: int
    gap: float
    best: bool
    only: bool
    last: bool
    stop: bool
    leaf: bool
    hidden: int
    lines: tuple[bool, ...]
    folded: int = 0
    seen: str = ""
    ineffective: bool = False

    @property
    def level(self) -> int:
        return len(self.lines)


def tree_rows(
    tree: TreeFile,
    number: int,
    search: SearchResult | None = None,
    max_depth: int = 0,
    min_visits: int = 0,
    max_rows: int = 0,
    fold: bool = False,
) -> list[TreeRow]:
    """The first ``max_rows`` rows of tree ``number`` below its root; limits of 0 are none.

    ``fold`` tells long runs of steps that offer no choice in one row each.
    """
    best = best_nodes(tree.forest, number, search)
    rows = _rows(tree, number, best, max_depth, min_visits)
    return list(islice(_folded(rows) if fold else rows, max_rows or None))


def _rows(
    tree: TreeFile, number: int, best: frozenset[int], max_depth: int, min_visits: int
) -> Iterator[TreeRow]:
    forest = tree.forest
    gaps = node_gaps(forest, number)
    without_effect = ineffective_nodes(tree, number)
    root = int(forest.roots[number])
    pending = list(_ways(forest, root, (), max_depth, min_visits))[::-1]
    while pending:
        node, stop, only, last, lines = pending.pop()
        row = _row(tree, node, stop, only, last, lines, best, gaps, max_depth, min_visits)
        yield replace(row, ineffective=not stop and node in without_effect)
        if not stop:
            inner = lines if only else (*lines, not last)
            pending.extend(list(_ways(forest, node, inner, max_depth, min_visits))[::-1])


def _folded(rows: Iterable[TreeRow]) -> Iterator[TreeRow]:
    """Of every run, the first step, what lies between, and the last, where its outcome stands."""
    run: list[TreeRow] = []
    for row in rows:
        if run and not (row.only and row.parent == run[-1].node and row.best == run[-1].best):
            yield from _told(run)
            run = []
        run.append(row)
    yield from _told(run)


def _told(run: list[TreeRow]) -> list[TreeRow]:
    if len(run) <= LONGEST_RUN:
        return run
    between = len(run) - 2
    return [
        run[0],
        replace(
            run[1], text=f"… {between} steps …", folded=between - 1, seen="", ineffective=False
        ),
        run[-1],
    ]


def best_nodes(forest: Forest, number: int, search: SearchResult | None) -> frozenset[int]:
    """The nodes of e*; without a search, of the best observed trajectory."""
    if search is not None:
        return frozenset(search.best_path(number))
    members = np.flatnonzero(forest.columns.counted & (forest.columns.task == number))
    if not len(members):
        return frozenset()
    best = members[np.argmax(forest.columns.score[members])]
    return frozenset(forest.path(int(best)).tolist())


def ineffective_nodes(tree: TreeFile, number: int) -> frozenset[int]:
    """The nodes of a tree whose action never had an effect, whoever took it."""
    columns = tree.forest.columns
    tried, effective = set[int](), set[int]()
    for member in np.flatnonzero(columns.counted & (columns.task == number)):
        valid = tree.rollouts.trajectories[int(member)].valid
        for node, had_effect in zip(tree.forest.path(int(member)).tolist(), valid, strict=False):
            tried.add(node)
            if had_effect:
                effective.add(node)
    return frozenset(tried - effective)


def node_gaps(forest: Forest, number: int) -> dict[int, float]:
    """The widest gap of mean G at each node of a tree where one state was answered differently."""
    gaps: dict[int, float] = {}
    for node in forest.nodes(number):
        states: dict[int, list[int]] = {}
        for child in forest.children(node):
            states.setdefault(int(forest.state[child]), []).append(child)
        for branches in states.values():
            if len({int(forest.action[child]) for child in branches}) > 1:
                values = forest.mean[branches]
                gap = float(values.max() - values.min())
                gaps[node] = max(gap, gaps.get(node, 0.0))
    return gaps


def _ways(
    forest: Forest, node: int, lines: tuple[bool, ...], max_depth: int, min_visits: int
) -> Iterator[tuple[int, bool, bool, bool, tuple[bool, ...]]]:
    """The ways on from a node: ``(node, stop, only, last, lines)``."""
    if max_depth and forest.depth[node] >= max_depth:
        return
    ways = [(child, False) for child in forest.children(node) if forest.visits[child] >= min_visits]
    if forest.has_stop[node] and forest.endings[node] >= min_visits:
        ways.append((node, True))
    for place, (way, stop) in enumerate(ways):
        yield way, stop, len(ways) == 1, place == len(ways) - 1, lines


def _row(
    tree: TreeFile,
    node: int,
    stop: bool,
    only: bool,
    last: bool,
    lines: tuple[bool, ...],
    best: frozenset[int],
    gaps: dict[int, float],
    max_depth: int,
    min_visits: int,
) -> TreeRow:
    forest = tree.forest
    endings = int(forest.endings[node])
    if stop:
        ending = forest.columns.success[forest.end_node == node]
        text, visits, successes = STOP_WORDS, endings, int(ending.sum())
        value = float(forest.total_reward[node]) / endings
    else:
        action = int(forest.action[node])
        text = tree.texts[action] if action >= 0 else NO_ACTION_WORDS
        visits, successes = int(forest.visits[node]), int(forest.successes[node])
        value = float(forest.mean[node])
    leaf = stop or not forest.child_count[node]
    shown = [c for c in forest.children(node) if forest.visits[c] >= min_visits]
    cut = bool(max_depth) and int(forest.depth[node]) >= max_depth
    return TreeRow(
        node=node,
        parent=node if stop else int(forest.parent[node]),
        depth=int(forest.depth[node]) + stop,
        text=text,
        observation="" if stop else tree.texts[int(forest.observation[node])],
        thoughts=()
        if stop
        else tuple((tree.texts[thought], count) for thought, count in forest.thoughts_of(node)),
        visits=visits,
        value=value,
        successes=successes,
        endings=endings,
        gap=0.0 if stop else gaps.get(node, 0.0),
        best=not stop and node in best,
        only=only,
        last=last,
        stop=stop,
        leaf=leaf,
        hidden=0 if stop else int(forest.child_count[node]) - (0 if cut else len(shown)),
        lines=lines,
        seen="" if stop else _seen(tree, node, text),
    )


def _seen(tree: TreeFile, node: int, action: str) -> str:
    """What the action of ``node`` showed, from the observation before the first step after it."""
    forest = tree.forest
    after = next(iter(forest.children(node)), None)
    if after is None or forest.action[node] < 0:
        return ""
    before = tree.texts[int(forest.observation[node])]
    return seen(action, before, tree.texts[int(forest.observation[after])])
