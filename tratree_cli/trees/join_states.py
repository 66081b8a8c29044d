"""Joining states: equal states that different histories reached are one node of a graph.

A tree joins steps below one parent; a graph joins them wherever they stand (GraphGPO, arXiv
2605.26684, joins the rollouts of a task in this way to credit single steps). A state is what the
agent saw, with what a page does not show: the effective actions that left the page as it was since
it last changed (an option that was clicked), and those of the whole episode whose effect the
environment declares to last (``lasting``; a thing that was taken). An action without effect leads
back to the state in which it was taken. Two states that agree in all of this may still differ in
what nobody saw: ``StateGraph.contradictions`` counts where that shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from tratree_cli.trees.columns import Columns, IntArray
from tratree_cli.trees.merge_observations import Merger
from tratree_cli.trees.state_graph import StateGraph

Lasting: TypeAlias = Callable[[int], bool]
"""Whether the effect of an action, given by its text number, outlasts the page it was taken on."""


def build_state_graph(
    columns: Columns,
    merger: Merger | None = None,
    lasting: Lasting | None = None,
    *,
    remember: bool = True,
) -> StateGraph:
    """The state graphs of all tasks; ``merger`` joins similar observations of a task.

    A text is compared with those of its task that appeared before it, in the order of the
    trajectories, and joins the most similar one that reaches the threshold. Without ``remember`` a
    state is what was seen and nothing else.
    """
    step_state = np.full(columns.steps, -1, dtype=np.int64)
    task: list[int] = []
    observation: list[int] = []
    merged = 0
    counted = np.flatnonzero(columns.counted)
    members = counted[np.argsort(columns.task[counted], kind="stable")]
    borders = np.flatnonzero(np.diff(columns.task[members])) + 1
    for trajectories in np.split(members, borders):
        if not len(trajectories):
            continue
        looks = _looks(columns, trajectories, merger)
        merged += sum(text != look for text, look in looks.items())
        number: dict[tuple[int, frozenset[int], frozenset[int]], int] = {}
        for trajectory in trajectories.tolist():
            span = columns.span(trajectory)
            for step, key in zip(
                range(span.start, span.stop),
                _states(columns, span, looks, lasting, remember),
                strict=True,
            ):
                state = number.get(key)
                if state is None:
                    state = number[key] = len(task)
                    task.append(int(columns.task[trajectory]))
                    observation.append(int(columns.observations[step]))
                step_state[step] = state
    return StateGraph(
        columns,
        step_state,
        np.array(task, dtype=np.int64),
        np.array(observation, dtype=np.int64),
        merged,
    )


def graph_from_states(columns: Columns, step_state: IntArray, merged: int = 0) -> StateGraph:
    """The graph whose states are known for every step."""
    steps = np.flatnonzero(step_state >= 0)
    states, first = np.unique(step_state[steps], return_index=True)
    owner = np.repeat(np.arange(len(columns)), columns.lengths)
    seen = steps[first]
    assert np.array_equal(states, np.arange(len(states))), "states are numbered without gaps"
    return StateGraph(
        columns,
        step_state,
        columns.task[owner[seen]].astype(np.int64),
        columns.observations[seen].astype(np.int64),
        merged,
    )


def _looks(columns: Columns, trajectories: IntArray, merger: Merger | None) -> dict[int, int]:
    """What each observation of one task counts as."""
    spans = (columns.observations[columns.span(one)].tolist() for one in trajectories.tolist())
    texts = list(dict.fromkeys(text for span in spans for text in span))
    return dict(zip(texts, texts, strict=True)) if merger is None else merger.leaders(texts)


def _states(
    columns: Columns, span: slice, looks: dict[int, int], lasting: Lasting | None, remember: bool
) -> list[tuple[int, frozenset[int], frozenset[int]]]:
    """The state of each step of one trajectory."""
    observations = columns.observations[span].tolist()
    actions, valid = columns.actions[span].tolist(), columns.valid[span].tolist()
    states: list[tuple[int, frozenset[int], frozenset[int]]] = []
    page, unseen, kept = -1, frozenset[int](), frozenset[int]()
    for place, text in enumerate(observations):
        if place and not valid[place - 1]:
            states.append(states[-1])
            continue
        look = looks[text]
        if place and remember:
            before = actions[place - 1]
            unseen = unseen | {before} if look == page else frozenset()
            if lasting is not None and lasting(before):
                kept = kept | {before}
        page = look
        states.append((look, unseen, kept))
    return states
