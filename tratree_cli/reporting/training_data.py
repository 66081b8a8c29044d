"""What the data behind a policy were made of: successes, near misses, failures by ending.

It is read from the artifacts themselves, so that a report over last month's policies tells it too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tratree_cli.pipeline.lineage import ONLY_COUNTED
from tratree_cli.reporting import lineage

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.formats.rollouts import Trajectory

IMITATED, CHOSEN, REJECTED = "imitated", "chosen", "rejected"


@dataclass(frozen=True)
class DataSide:
    """One side of what was learnt from, and its trajectories by stratum (``formats.strata``)."""

    side: str
    strata: Counter[str]


def data_sides(store: Store, policy: Entry) -> list[DataSide]:
    """The sides of what a policy's own training read; its initial model's data are not among it."""
    found: list[DataSide] = []
    for entry in lineage.inputs(store, policy, without=ONLY_COUNTED):
        if entry.kind == "pairs":
            found += _pairs(store, entry)
        elif entry.kind == "paths":
            found += _paths(store, entry)
        elif entry.kind in ("demos", "rollouts"):
            found.append(DataSide(IMITATED, _count(_trajectories([entry]))))
    return found


def _pairs(store: Store, entry: Entry) -> Iterator[DataSide]:
    from tratree_cli.formats.pairs import read_pairs

    records = read_pairs(entry.path).pairs
    mined = next(
        (one for one in lineage.ancestors(store, [entry]) if one.stage == "mine-pairs"), entry
    )
    demonstrated = _trajectories(lineage.inputs(store, mined, "demos"))
    explored = _trajectories(_explored(store, mined))
    sources = {CHOSEN: demonstrated or explored, REJECTED: explored}
    for side, trajectories in sources.items():
        numbers = [getattr(record, f"{side}_trajectory") for record in records]
        if trajectories and all(0 <= number < len(trajectories) for number in numbers):
            yield DataSide(side, _count([trajectories[number] for number in numbers]))


def _paths(store: Store, entry: Entry) -> Iterator[DataSide]:
    from tratree_cli.formats.paths import read_paths

    records = read_paths(entry.path).paths
    explored = _trajectories(_explored(store, entry))
    if explored and all(0 <= record.trajectory < len(explored) for record in records):
        yield DataSide(IMITATED, _count([explored[record.trajectory] for record in records]))


def _explored(store: Store, entry: Entry) -> list[Entry]:
    """The artifacts whose trajectories pairs or paths refer to."""
    return lineage.inputs(store, entry, "tree") or lineage.inputs(store, entry, "rollouts")


def _trajectories(entries: Sequence[Entry]) -> list[Trajectory]:
    from tratree_cli.formats.rollouts import read_rollouts

    return [one for entry in entries for one in read_rollouts(entry.path).trajectories]


def _count(trajectories: Sequence[Trajectory]) -> Counter[str]:
    from tratree_cli.formats.strata import stratum

    return Counter(stratum(trajectory) for trajectory in trajectories)
