"""Paths through several recorded trajectories: what nobody walked, and may be better than all.

A new idea, ours; nothing is claimed of such a path before it was played. Where rewards come at the
end, a graph of true states has no better path than the best recorded one: what ends well was walked
from the start. So pages are joined here whatever was done on them before, and the path that is
proposed takes what helped on each: the options of one trajectory and the item of another. Whether
that holds together the environment decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tratree_cli.trees.columns import DONE_END, Columns, FloatArray
from tratree_cli.trees.join_states import build_state_graph
from tratree_cli.trees.state_graph import ENDS, PERFECT, StateGraph

BEAM = 64
"""So many unfinished paths of a task are kept at each length."""


@dataclass(frozen=True)
class Proposal:
    """A path that nobody walked: the recorded ``steps`` (of the columns) whose words it takes.

    ``promise`` is the expected G of the first state and the sum of what each of its actions was
    better than its page (mean G over the trajectories that took it, less that over those on it).
    """

    task: int
    steps: tuple[int, ...]
    promise: float


def proposals(columns: Columns, tries: int) -> list[Proposal]:
    """The ``tries`` most promising paths of every task whose best trajectory is not perfect.

    A path takes only actions that had an effect, ends where a trajectory was ended by the
    environment, comes to a page once and has no more steps than the longest trajectory of its task.
    Equal promises: the shorter path, then the order of insertion. No two paths, and no path and no
    recorded trajectory of the task, have the same effective actions.
    """
    graph = build_state_graph(columns, remember=False)
    pages = _Pages(graph)
    best = np.full(len(columns.tasks), -1.0)
    counted = np.flatnonzero(columns.counted)
    np.maximum.at(best, columns.task[counted], columns.score[counted])
    found: list[Proposal] = []
    for task in np.flatnonzero((best >= 0) & (best < PERFECT)).tolist():
        members = counted[columns.task[counted] == task]
        if columns.lengths[members].max() > 0:
            found += _of_task(pages, columns, task, members.tolist(), tries)
    return found


class _Pages:
    """Ways on from each page: by an effective action to another page, to the same, or to an end."""

    def __init__(self, graph: StateGraph) -> None:
        self.graph = graph
        columns = graph.columns
        steps = graph.steps
        score = np.where(columns.counted, columns.score, 0.0)[graph.owner[steps]]
        gain = _means(graph.step_answer, graph.owner[steps], score, len(graph.answer_state))
        page = _means(graph.step_state[steps], graph.owner[steps], score, len(graph))
        self.gain = gain - page[graph.answer_state]
        self.value = page
        self.example: dict[int, int] = {}
        self.after: dict[int, list[int]] = {}
        ended = columns.end == DONE_END
        # The words of an action are those of the best trajectory that took it, the first of equals.
        for place in np.lexsort((steps, -score)).tolist():
            step = int(steps[place])
            target = int(graph.next_state[step])
            if not columns.valid[step] or (target == ENDS and not ended[graph.owner[step]]):
                continue
            answer = int(graph.step_answer[place])
            self.example.setdefault(answer, step)
            targets = self.after.setdefault(answer, [])
            if target not in targets:
                targets.append(target)


@dataclass(frozen=True, order=True)
class _Path:
    """An unfinished path; it sorts by descending promise, then by length and order."""

    rank: float
    length: int
    answers: tuple[int, ...]
    page: int = field(compare=False)
    pages: frozenset[int] = field(compare=False)


def _of_task(
    pages: _Pages, columns: Columns, task: int, members: list[int], tries: int
) -> list[Proposal]:
    walked = {_effective(columns, trajectory) for trajectory in members}
    first = int(columns.offsets[next(one for one in members if columns.lengths[one])])
    start = int(pages.graph.step_state[first])
    longest = int(columns.lengths[members].max())
    beam = [_Path(-float(pages.value[start]), 0, (), start, frozenset((start,)))]
    finished: list[_Path] = []
    for _ in range(longest):
        grown = sorted(longer for path in beam for longer in _longer(pages, path))
        finished += [path for path in grown if path.page == ENDS]
        beam = [path for path in grown if path.page != ENDS][:BEAM]
    chosen: list[Proposal] = []
    for path in sorted(finished):
        actions = tuple(pages.graph.answer_action[list(path.answers)].tolist())
        if actions not in walked and len(chosen) < tries:
            walked.add(actions)
            steps = tuple(pages.example[answer] for answer in path.answers)
            chosen.append(Proposal(task, steps, -path.rank))
    return chosen


def _longer(pages: _Pages, path: _Path) -> Iterator[_Path]:
    """The path and one more step; on a page that stays, actions keep their order."""
    last = path.answers[-1] if path.answers else -1
    for answer in pages.graph.answers(path.page):
        rank = round(path.rank - float(pages.gain[answer]), 9)
        for target in pages.after.get(answer, ()):
            stays = target == path.page
            stayed = last >= 0 and pages.graph.answer_state[last] == path.page
            if (stays and stayed and answer <= last) or (not stays and target in path.pages):
                continue
            reached = path.pages if target == ENDS else path.pages | {target}
            yield _Path(rank, path.length + 1, (*path.answers, answer), target, reached)


def _effective(columns: Columns, trajectory: int) -> tuple[int, ...]:
    span = columns.span(trajectory)
    return tuple(columns.actions[span][columns.valid[span]].tolist())


def _means(place: np.ndarray, owner: np.ndarray, score: FloatArray, size: int) -> FloatArray:
    """The mean G of the trajectories at each place, each counted once."""
    _, first = np.unique(np.stack((place, owner)), axis=1, return_index=True)
    count = np.bincount(place[first], minlength=size)
    total = np.bincount(place[first], weights=score[first], minlength=size)
    return total / np.maximum(count, 1)
