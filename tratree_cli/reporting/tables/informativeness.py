"""Pairs at the divergences of the weak model's trees against random ones (Assumption 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

from tratree_cli.display.blocks import COUNT, PERCENT, RATIO, TEXT, Cell, Column, Row, Table
from tratree_cli.evaluation.bootstrap import mean_over_runs_intervals
from tratree_cli.reporting.environments import in_each_environment
from tratree_cli.reporting.report_data import ReportData

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.display.blocks import Block
    from tratree_cli.trees.forest import Forest


def tables(data: ReportData) -> tuple[Block, ...]:
    """A table for every environment whose forest has any pair."""
    drawn = {
        environment: informativeness_table(informativeness(tree))
        for environment, tree in data.trees.items()
    }
    blocks = {environment: [table] if table else [] for environment, table in drawn.items()}
    return in_each_environment(blocks, data)


@dataclass(frozen=True)
class TrajectoryPair:
    """Two trajectories of a task: how far their own scores lie apart (in [0, 1]), how many steps of
    the agent the pair teaches, both sides together, and how many steps the sides share."""

    task: str
    gap: float
    taught: int
    shared: int


@dataclass(frozen=True)
class Informativeness:
    """Pairs of one kind."""

    label: str
    pairs: tuple[TrajectoryPair, ...]


def informativeness_table(kinds: Sequence[Informativeness], min_gap: float = 0.1) -> Table | None:
    """Pairs at divergences against random ones (Assumption 3); None without any pair."""
    if not any(kind.pairs for kind in kinds):
        return None
    return Table(
        key="informativeness",
        title="Pairs of the tree against random pairs",
        columns=(
            Column("Pairs", TEXT),
            Column("Possible", COUNT),
            Column(f"ΔG > {min_gap:g}", PERCENT),
            Column("Mean ΔG", RATIO),
            Column("Shared steps"),
            Column("Steps taught"),
            Column("ΔG per step", RATIO),
        ),
        rows=tuple(_row(kind, min_gap) for kind in kinds),
        notes=(
            "All pairs of two trajectories of a task that the first seed's rollouts allow, before "
            "any limit: those that part by different actions in one state and differ in score, "
            "those that differ in score, and all. In every row ΔG is the difference of the two "
            "trajectories' own scores. Intervals: 95 % bootstrap over tasks.",
            "Shared steps: what both sides have in common. Steps taught: the agent's steps that a "
            "preference blames or praises, both sides together; the fewer, the better the outcome "
            "is pinned to a decision (Assumption 3). ΔG per step: mean over pairs.",
        ),
    )


def _row(kind: Informativeness, min_gap: float) -> Row:
    if not kind.pairs:
        return Row((Cell(kind.label), Cell(0), *(Cell() for _ in range(5))))
    wide, gap, per_step = _over_tasks(
        kind.pairs,
        lambda pair: (100 * (pair.gap > min_gap), pair.gap, pair.gap / max(pair.taught, 1)),
    )
    return Row(
        (
            Cell(kind.label),
            Cell(len(kind.pairs)),
            wide,
            gap,
            Cell(fmean(pair.shared for pair in kind.pairs)),
            Cell(fmean(pair.taught for pair in kind.pairs)),
            per_step,
        )
    )


def _over_tasks(
    pairs: Sequence[TrajectoryPair], figures: Callable[[TrajectoryPair], tuple[float, ...]]
) -> list[Cell]:
    """The mean of each figure over pairs, with an interval that resamples tasks."""
    by_task: dict[str, list[tuple[float, ...]]] = {}
    for pair in pairs:
        by_task.setdefault(pair.task, []).append(figures(pair))
    intervals = mean_over_runs_intervals(
        [[[sum(column) for column in zip(*rows, strict=True)]] for rows in by_task.values()],
        [[len(rows)] for rows in by_task.values()],
    )
    return [Cell(interval.value, interval.low, interval.high) for interval in intervals]


def informativeness(tree: Entry) -> list[Informativeness]:
    """Pairs that part at this forest's divergences against pairs of whole trajectories."""
    from tratree_cli.formats.trees import read_tree

    return informative_pairs(read_tree(tree.path).forest)


def informative_pairs(forest: Forest) -> list[Informativeness]:
    """All pairs of counted trajectories of a task, by what a pair rule would need of them."""
    columns = forest.columns
    lengths = columns.lengths
    members: dict[int, list[int]] = {}
    for trajectory in range(len(columns)):
        if columns.counted[trajectory] and columns.score[trajectory] == columns.score[trajectory]:
            members.setdefault(int(columns.task[trajectory]), []).append(trajectory)
    parting, whole = [], []
    for task, trajectories in members.items():
        name = columns.tasks[task]
        for first, second in combinations(trajectories, 2):
            gap = abs(float(columns.score[first] - columns.score[second]))
            steps = int(lengths[first] + lengths[second])
            whole.append(TrajectoryPair(name, gap, steps, 0))
            # Everything from the divergence on is taught; a whole trajectory is taught altogether.
            if gap > 0 and (shared := _divergence(forest, first, second)) is not None:
                parting.append(TrajectoryPair(name, gap, steps - 2 * shared, shared))
    return [
        Informativeness("tree: divergences", tuple(parting)),
        Informativeness("unstructured: reward alone", tuple(p for p in whole if p.gap > 0)),
        Informativeness("any two trajectories", tuple(whole)),
    ]


def _divergence(forest: Forest, first: int, second: int) -> int | None:
    """The step at which two trajectories answer one state with different actions, if they do."""
    columns = forest.columns
    left, right = (forest.step_node[columns.span(trajectory)] for trajectory in (first, second))
    for step, (node, twin) in enumerate(zip(left.tolist(), right.tolist(), strict=False)):
        if node != twin:
            same_state = forest.state[node] == forest.state[twin]
            return step if same_state and forest.action[node] != forest.action[twin] else None
    return None
