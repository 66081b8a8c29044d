"""Pairs at the divergences of the weak model's trees against random ones (Assumption 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

from tratree_cli.display.blocks import COUNT, PERCENT, RATIO, TEXT, Cell, Column, Row, Table
from tratree_cli.reporting.environments import in_each_environment
from tratree_cli.reporting.report_data import ReportData

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.display.blocks import Block
    from tratree_cli.trees.pairs import PairSet


def tables(data: ReportData) -> tuple[Block, ...]:
    """A table for every environment whose forest has any pair."""
    drawn = {
        environment: informativeness_table(informativeness(tree))
        for environment, tree in data.trees.items()
    }
    blocks = {environment: [table] if table else [] for environment, table in drawn.items()}
    return in_each_environment(blocks, data)


@dataclass(frozen=True)
class Informativeness:
    """Pairs of one kind: their score gaps in [0, 1], how many steps of the agent each teaches (from
    the divergence on, both sides), and how many steps its sides share."""

    label: str
    pairs: int
    gaps: tuple[float, ...]
    taught: tuple[int, ...]
    shared: tuple[int, ...]


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
        rows=tuple(_informative_row(kind, min_gap) for kind in kinds),
        notes=(
            "All pairs that the first seed's rollouts allow, before any limit. Shared steps: what "
            "both sides have in common. Steps taught: the agent's steps that a preference blames "
            "or praises, both sides together; the fewer, the better the outcome is pinned to a "
            "decision (Assumption 3). ΔG per step: mean over pairs.",
        ),
    )


def _informative_row(kind: Informativeness, min_gap: float) -> Row:
    if not kind.pairs:
        return Row((Cell(kind.label), Cell(0), *(Cell() for _ in range(5))))
    per_step = [gap / max(steps, 1) for gap, steps in zip(kind.gaps, kind.taught, strict=True)]
    return Row(
        (
            Cell(kind.label),
            Cell(kind.pairs),
            Cell(100 * fmean(gap > min_gap for gap in kind.gaps)),
            Cell(fmean(kind.gaps)),
            Cell(fmean(kind.shared)),
            Cell(fmean(kind.taught)),
            Cell(fmean(per_step)),
        )
    )


def informativeness(tree: Entry) -> list[Informativeness]:
    """Pairs of this forest's divergences against pairs of whole trajectories of one task."""
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.trees.pairs import mine, mine_whole

    forest = read_tree(tree.path).forest
    columns = forest.columns
    lengths = columns.lengths

    def of(label: str, mined: PairSet) -> Informativeness:
        # Everything from the divergence on is taught; a pair of whole trajectories teaches it all.
        taught = [int(lengths[p.chosen] + lengths[p.rejected]) - 2 * p.step for p in mined.pairs]
        return Informativeness(
            label,
            len(mined.pairs),
            tuple(pair.gap for pair in mined.pairs),
            tuple(taught),
            tuple(pair.step for pair in mined.pairs),
        )

    chance: dict[int, list[int]] = {}
    for trajectory in range(len(columns)):
        if columns.counted[trajectory] and columns.score[trajectory] == columns.score[trajectory]:
            chance.setdefault(int(columns.task[trajectory]), []).append(trajectory)
    drawn = [pair for members in chance.values() for pair in combinations(members, 2)]
    gaps = tuple(abs(float(columns.score[a] - columns.score[b])) for a, b in drawn)
    taught = tuple(int(lengths[a] + lengths[b]) for a, b in drawn)
    return [
        of("tree: divergences", mine(forest, min_gap=0.0)),
        of("unstructured: reward alone", mine_whole(columns, min_gap=0.0)),
        Informativeness("any two trajectories", len(drawn), gaps, taught, tuple(0 for _ in drawn)),
    ]
