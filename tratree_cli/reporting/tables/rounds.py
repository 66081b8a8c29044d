"""What each round of exploring and training added, and what its model earned on dev."""

from __future__ import annotations

from tratree_cli.display.blocks import BEST, COUNT, NUMBER, PERCENT, TEXT, Cell, Column, Row, Table
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.round_results import PolicyRounds, RoundResult, policy_rounds

_COLUMNS = (
    Column("Policy", TEXT),
    Column("Round", TEXT),
    Column("Episodes", COUNT),
    Column("Diverge", COUNT),
    Column("Updates", COUNT),
    Column("Dev reward", NUMBER),
    Column("Success", PERCENT),
)


def table(data: ReportData) -> Table | None:
    """One row a policy and round; None where nothing was trained in rounds."""
    return rounds_table(policy_rounds(data))


def rounds_table(policies: tuple[PolicyRounds, ...]) -> Table | None:
    """The table of these policies' rounds."""
    if not policies:
        return None
    return Table(
        "rounds",
        "Rounds, chosen on dev",
        _COLUMNS,
        tuple(row for policy in policies for row in _rows(policy)),
        _notes(policies),
    )


def _rows(policy: PolicyRounds) -> list[Row]:
    several = len(policy.runs) > 1
    return [Row(_cells(policy.label, result, several)) for result in policy.rounds]


def _cells(label: str, result: RoundResult, several: bool) -> tuple[Cell, ...]:
    mark = BEST if result.best_of else ""
    count = f" ({result.best_of} of {len(result.played)})" if several else ""
    reward = result.dev.reward if result.dev else None
    return (
        Cell(label),
        Cell(f"{result.number}{count}"),
        *(Cell(round(result.mean(name))) for name in ("episodes", "divergences", "updates")),
        Cell(result.reward, mark=mark)
        if reward is None or result.dev is None
        else Cell(reward.value, reward.low, reward.high, sd=result.dev.spread, mark=mark),
        Cell(result.mean("success")),
    )


def _notes(policies: tuple[PolicyRounds, ...]) -> tuple[str, ...]:
    tasks = sorted({run.tasks for policy in policies for run in policy.runs})
    counted = " or ".join(map(str, tasks))
    several = any(len(policy.runs) > 1 for policy in policies)
    notes = [
        f"Episodes are those that a round added, divergences those of the trees of all rounds so "
        f"far, updates those of its own training. Dev: {counted} tasks played greedily; intervals "
        "are over tasks. Marked: the round whose model was taken"
        + (" (by so many of the seeds that played it)." if several else ".")
    ]
    for policy in policies:
        notes += [f"{policy.label}: {sentence}." for sentence in policy.endings]
    return tuple(notes)
