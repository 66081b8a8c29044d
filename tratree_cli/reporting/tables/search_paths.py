"""The paths that were imitated: what was dropped, and how often the search chose another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tratree_cli.display.blocks import COUNT, NUMBER, TEXT, Cell, Column, Row, Table
from tratree_cli.reporting import lineage
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import cohort_label

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.reporting.cohorts import Cohort


def table(data: ReportData) -> Table | None:
    """A row for every policy that imitates paths, its seeds added up; None without any."""
    if data.store is None:
        return None
    learned = [(group, _paths_of(data.store, group)) for group in data.cohorts]
    rows = [
        _row(cohort_label(group, data.cohorts), [entry.summary for entry in entries])
        for group, entries in learned
        if entries
    ]
    if not rows:
        return None
    searched = [
        entry.summary["against_best_observed"]
        for _, entries in learned
        for entry in entries
        if "against_best_observed" in entry.summary
    ]
    return Table(
        key="search-paths",
        title="Imitated paths: e* beside the best observed trajectory",
        columns=(
            Column("Policy", TEXT),
            Column("Paths", COUNT),
            Column("Average reward", NUMBER),
            Column("Dropped", TEXT),
            Column("Trees", COUNT),
            Column("Lower G", COUNT),
            Column("Other words", COUNT),
            Column("Uneven leaves", COUNT),
        ),
        rows=tuple(rows),
        notes=(
            "Trees: those that were searched. Lower G, Other words: trees whose e* scores below "
            "the best observed trajectory, or is not word for word the same. Uneven leaves: trees "
            "in which one leaf ends trajectories of different G. Counts add up over the seeds.",
            *_reason(searched),
        ),
    )


def _paths_of(store: Store, group: Cohort) -> list[Entry]:
    """The paths that the group's policies imitate, each recipe once."""
    found: dict[str, Entry] = {}
    for row in group.runs:
        policy = row.lineage.policy if row.lineage is not None else None
        if policy is not None:
            made = lineage.inputs(store, policy, "paths")
            found |= {entry.recipe: entry for entry in made if entry.stage == "mcts"}
    return list(found.values())


def _row(label: str, summaries: Sequence[dict[str, Any]]) -> Row:
    paths = sum(summary["paths"] for summary in summaries)
    rewards = sum(summary["paths"] * summary["average_reward"] for summary in summaries)
    dropped: dict[str, int] = {}
    for summary in summaries:
        for reason, count in summary["dropped"].items():
            dropped[reason] = dropped.get(reason, 0) + count
    against = [s["against_best_observed"] for s in summaries if "against_best_observed" in s]
    names = ("trees", "below", "other_words", "uneven")
    counts = [sum(each[name] for each in against) if against else None for name in names]
    return Row(
        (
            Cell(label),
            Cell(paths),
            Cell(rewards / paths if paths else None),
            Cell(", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "none"),
            *map(Cell, counts),
        )
    )


def _reason(searched: Sequence[dict[str, int]]) -> tuple[str, ...]:
    """Why the two are the same trajectory or are not."""
    if not searched:
        return ()
    if not any(each["uneven"] for each in searched):
        return (
            "No leaf has two scores here: in a deterministic environment with few trajectories "
            "per tree, e* is the best observed trajectory by construction, except where another "
            "branch has the higher mean. A search can matter where pages or scores are noisy.",
        )
    return (
        "Leaves with several scores: pages or scores are noisy. The best observed trajectory may "
        "be a lucky one, and so may e* where its leaf was walked once (mcts.min_walks).",
    )
