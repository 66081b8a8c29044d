"""A state graph as rows: every action in every state once, in the order in which they are read.

A state is drawn where a walk from the start first comes to it; rows that lead to it later name it
by its number. So a graph with cycles reads like a tree, and no state is drawn twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tratree_cli.display.tree_rows import NO_ACTION_WORDS, TreeRow
from tratree_cli.formats.trees import TreeFile
from tratree_cli.trees.state_graph import ENDS, NEVER, StateGraph

GRAPH_LEGEND = (
    "#n: a state that several rows lead to, drawn once; back: passed on this way",
    "n to go: steps from there to the nearest success (G 1)",
)


@dataclass(frozen=True)
class _Way:
    """A transition to be drawn below the row ``parent``; ``above`` are the states passed."""

    answer: int
    target: int
    parent: int
    only: bool
    last: bool
    lines: tuple[bool, ...]
    above: tuple[int, ...]


def graph_rows(
    tree: TreeFile, number: int, max_depth: int = 0, min_visits: int = 0
) -> tuple[list[TreeRow], float]:
    """The rows of task ``number``, and how far the actions of its first state part.

    ``max_depth`` is a number of steps (0: all); answers of fewer trajectories than ``min_visits``
    are left out.
    """
    graph = tree.graph
    assert graph is not None, "the tree has a state graph"
    columns = graph.columns
    members = np.flatnonzero(columns.counted & (columns.task == number) & (columns.lengths > 0))
    if not len(members):
        return [], 0.0
    first = int(graph.step_state[columns.offsets[members[0]]])
    best = _answers_of(graph, int(members[np.argmax(columns.score[members])]))
    drawn = {first}
    found: list[tuple[_Way, bool, bool]] = []
    pending = _ways(graph, first, -1, (), (first,), min_visits)[::-1]
    while pending:
        way = pending.pop()
        new = way.target != ENDS and way.target not in drawn
        cut = new and 0 < max_depth <= len(way.above)
        found.append((way, new, cut))
        if new and not cut:
            drawn.add(way.target)
            inner = way.lines if way.only else (*way.lines, not way.last)
            above = (*way.above, way.target)
            place = len(found) - 1
            pending += _ways(graph, way.target, place, inner, above, min_visits)[::-1]
    referred = (way.target for way, new, _ in found if not new and way.target != way.above[-1])
    named = dict.fromkeys(target for target in referred if target not in (ENDS, first))
    name = {first: "start"} | {state: f"#{place}" for place, state in enumerate(named, 1)}
    rows = []
    for place, (way, new, cut) in enumerate(found):
        row = _row(tree, graph, way, place, way.answer in best)
        if new and not cut:
            row = replace(row, gap=_gap(graph, way.target))
        rows.append(replace(row, seen=_led_to(graph, way, new, name.get(way.target, ""))))
    return rows, _gap(graph, first)


def _ways(
    graph: StateGraph,
    state: int,
    parent: int,
    lines: tuple[bool, ...],
    above: tuple[int, ...],
    min_visits: int,
) -> list[_Way]:
    """Where the answers in a state led, each place once."""
    answer, after, _ = graph.transitions
    found = []
    for one in graph.answers(state):
        if graph.tried[one] >= min_visits:
            low, high = np.searchsorted(answer, [one, one + 1])
            targets = after[low:high].tolist()
            # What had no effect stays where it is, also where the episode ended with it.
            found += [
                (one, target) for target in targets if graph.effective[one] or target == state
            ]
            found += [] if graph.effective[one] or state in targets else [(one, ENDS)]
    return [
        _Way(one, target, parent, len(found) == 1, place == len(found) - 1, lines, above)
        for place, (one, target) in enumerate(found)
    ]


def _row(tree: TreeFile, graph: StateGraph, way: _Way, place: int, best: bool) -> TreeRow:
    action = int(graph.answer_action[way.answer])
    state = int(graph.answer_state[way.answer])
    return TreeRow(
        node=place + 1,
        parent=way.parent + 1,
        depth=len(way.above),
        text=tree.texts[action] if action >= 0 else NO_ACTION_WORDS,
        observation=tree.texts[int(graph.observation[state])],
        thoughts=(),
        visits=int(graph.tried[way.answer]),
        value=float(graph.answer_value[way.answer]),
        successes=int(graph.won[way.answer]),
        endings=0,
        gap=0.0,
        best=best,
        only=way.only,
        last=way.last,
        stop=False,
        leaf=way.target == ENDS,
        hidden=0,
        lines=way.lines,
        ineffective=not graph.effective[way.answer],
    )


def _led_to(graph: StateGraph, way: _Way, new: bool, name: str) -> str:
    """Where an answer led, in a few words."""
    if way.target == ENDS:
        return "ends"
    if way.target in way.above:
        return f"back to {name}" if way.target != way.above[-1] else "stays"
    away = int(graph.distance[way.target])
    words = f"{away} to go" if away != NEVER else ""
    return " ".join(filter(None, (f"{'' if new else 'to '}{name}".strip(), words)))


def _answers_of(graph: StateGraph, trajectory: int) -> frozenset[int]:
    return frozenset(graph.step_answer[graph.owner[graph.steps] == trajectory].tolist())


def _gap(graph: StateGraph, state: int) -> float:
    """How far the expected G of the actions in a state lies apart."""
    values = graph.answer_value[list(graph.answers(state))]
    return float(values.max() - values.min()) if len(values) > 1 else 0.0
