"""Which steps bring a trajectory nearer to a success, whatever came of it in the end.

A step makes progress when the nearest recorded success is fewer steps away after it than before
(GraphGPO, arXiv 2605.26684, Figure 1: in ALFWorld 22.0 % of the steps of failed trajectories do,
and 65.3 % of those of successful ones do not). Only tasks in which some trajectory succeeds are
counted: elsewhere nobody knows where a success would have been.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tratree_cli.trees.columns import Columns, IntArray
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.state_graph import ENDS, NEVER, PERFECT, StateGraph


@dataclass(frozen=True)
class Progress:
    """``failed_progress`` of ``failed_steps`` steps of failed trajectories make progress,
    ``successful_idle`` of ``successful_steps`` of successful ones do not.

    Over the ``tasks`` of which some trajectory succeeds (a G of 1).
    """

    tasks: int
    failed_steps: int
    failed_progress: int
    successful_steps: int
    successful_idle: int

    @property
    def of_failed(self) -> float:
        """The share of steps of failed trajectories that make progress, in [0, 1]."""
        return self.failed_progress / self.failed_steps if self.failed_steps else 0.0

    @property
    def idle_of_successful(self) -> float:
        """The share of steps of successful trajectories that make none, in [0, 1]."""
        return self.successful_idle / self.successful_steps if self.successful_steps else 0.0


def tree_progress(forest: Forest) -> Progress:
    """Progress along a tree: towards the nearest success below the same node."""
    columns = forest.columns
    inside = forest.step_node >= 0
    steps = np.flatnonzero(inside)
    owner = np.repeat(np.arange(len(columns)), columns.lengths)[steps]
    perfect = columns.counted & (columns.score >= PERFECT)
    far = np.iinfo(np.int64).max
    distance = np.full(len(forest), far)
    left = columns.offsets[1:][owner] - steps - 1
    wins = perfect[owner]
    np.minimum.at(distance, forest.step_node[steps[wins]], left[wins])
    np.minimum.at(
        distance, forest.roots[columns.task[perfect]], columns.lengths[perfect].astype(np.int64)
    )
    distance = np.where(distance == far, NEVER, distance)
    node = forest.step_node[steps]
    return _counted(columns, owner, distance[forest.parent[node]], distance[node])


def graph_progress(graph: StateGraph) -> Progress:
    """Progress in a state graph: towards the nearest success that any recorded steps lead to."""
    steps = graph.steps
    owner = graph.owner[steps]
    after = graph.next_state[steps]
    ended = np.where(graph.perfect[owner], 0, NEVER)
    nearer = np.where(after == ENDS, ended, graph.distance[after])
    return _counted(graph.columns, owner, graph.distance[graph.step_state[steps]], nearer)


def _counted(columns: Columns, owner: IntArray, before: IntArray, after: IntArray) -> Progress:
    """Count steps by their distances before and after, ``[steps]`` each."""
    perfect = columns.counted & (columns.score >= PERFECT)
    solved = np.zeros(len(columns.tasks), dtype=np.bool_)
    solved[columns.task[perfect]] = True
    told = solved[columns.task[owner]]
    progress = (after != NEVER) & (before != NEVER) & (after < before)
    wins = perfect[owner]
    return Progress(
        tasks=int(solved.sum()),
        failed_steps=int((told & ~wins).sum()),
        failed_progress=int((told & ~wins & progress).sum()),
        successful_steps=int((told & wins).sum()),
        successful_idle=int((told & wins & ~progress).sum()),
    )


def graph_figures(graph: StateGraph) -> dict[str, int | float]:
    """A state graph in figures, as ``build-tree`` keeps them in its summary."""
    progress = graph_progress(graph)
    return {
        "states": len(graph),
        "answers": len(graph.answer_state),
        "several_histories": graph.joined,
        "several_actions": int((np.bincount(graph.answer_state) > 1).sum()),
        "returns": graph.cycles,
        "contradictions": graph.contradictions,
        "lead_to_success": int((graph.distance != NEVER).sum()),
        "failed_steps_in_progress": round(progress.of_failed, 3),
        "successful_steps_without": round(progress.idle_of_successful, 3),
    }
