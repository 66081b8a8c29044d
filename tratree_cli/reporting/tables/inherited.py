"""What each method inherits from a weak model that misleads on purpose (the policy misaligned)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING

from tratree_cli.agents.misaligned import BACKEND, read_bias
from tratree_cli.display.blocks import COUNT, PERCENT, TEXT, Cell, Column, Row, Table
from tratree_cli.envs.biases import Bias, bias_of
from tratree_cli.errors import InputError
from tratree_cli.reporting import lineage
from tratree_cli.reporting.environments import in_each_environment
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import environment_of
from tratree_cli.reporting.selection import cohort_label

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.display.blocks import Block
    from tratree_cli.formats.rollouts import Rollouts


def tables(data: ReportData) -> tuple[Block, ...]:
    """A table for every bias that something in these lineages was played with."""
    if data.store is None:
        return ()
    misled = _misled(data.store, data)
    found: dict[str, list[Block]] = {}
    for environment, policies in misled.items():
        named = {bias.name: bias for bias in map(_bias, repeat(environment), policies) if bias}
        for _, bias in sorted(named.items()):
            found.setdefault(environment, []).append(_table(data, environment, bias, policies))
    return in_each_environment(found, data)


def _bias(environment: str, policy: str) -> Bias | None:
    """The bias of a misaligned policy; None where this environment is not installed here."""
    try:
        return bias_of(environment, read_bias(policy.partition(":")[2])[0])
    except InputError:
        return None


def _misled(store: Store, data: ReportData) -> dict[str, dict[str, list[Entry]]]:
    """By environment, the misaligned policies and what they played, each recipe once."""
    behind = [
        entry
        for group in data.cohorts
        for row in group.runs
        if row.lineage is not None
        for entry in lineage.behind_row(store, row.lineage)
    ]
    found: dict[str, dict[str, list[Entry]]] = {}
    for entry in {entry.recipe: entry for entry in behind}.values():
        params = entry.document.get("params", {})
        for name in params.get("policies", (params.get("policy", ""),)):
            if str(name).startswith(f"{BACKEND.name}:") and entry.kind in ("rollouts", "demos"):
                found.setdefault(environment_of(entry), {}).setdefault(name, []).append(entry)
    return found


def _table(
    data: ReportData, environment: str, bias: Bias, policies: dict[str, list[Entry]]
) -> Table:
    rows = [
        _row(name, bias, played)
        for name, played in policies.items()
        if _bias(environment, name) == bias
    ]
    for group in data.cohorts:
        evaluations = [
            row.lineage.evaluation
            for row in group.runs
            if row.lineage is not None and row.lineage.environment == environment
        ]
        if evaluations:
            rows.append(_row(cohort_label(group, data.cohorts), bias, evaluations))
    return Table(
        key="inherited",
        title=f"What is inherited of the bias {bias.name}",
        columns=(
            Column("Policy", TEXT),
            Column("Occasions", COUNT),
            Column("Followed", PERCENT),
            Column("Reward when followed"),
            Column("Reward else"),
        ),
        rows=tuple(rows),
        notes=(
            f"The bias {bias.summary}. Occasions: episodes in which that could be told, the seeds "
            "added up. Followed: the share of them that did as the bias does, in percent; also an "
            "unbiased policy does now and then. First what misled, as it explored or demonstrated; "
            "then every policy, as it was evaluated.",
        ),
    )


def _row(label: str, bias: Bias, entries: Sequence[Entry]) -> Row:
    followed: dict[bool, list[float]] = {True: [], False: []}
    for does, score in _told(bias, entries):
        followed[does].append(score)
    occasions = sum(map(len, followed.values()))
    means = (_mean(followed[True]), _mean(followed[False]))
    share = 100 * len(followed[True]) / occasions if occasions else None
    return Row((Cell(label), Cell(occasions), Cell(share), *map(Cell, means)))


def _told(bias: Bias, entries: Sequence[Entry]) -> Iterable[tuple[bool, float]]:
    """Whether each episode followed the bias, where that can be told, and its score."""
    from tratree_cli.formats.rollouts import read_rollouts

    for entry in entries:
        rollouts = read_rollouts(entry.path)
        for trajectory in rollouts.trajectories:
            does = bias.follows(
                _texts(rollouts, trajectory.observations), _texts(rollouts, trajectory.actions)
            )
            if does is not None and trajectory.counted:
                yield does, trajectory.score or 0.0


def _texts(rollouts: Rollouts, numbers: Sequence[int]) -> list[str]:
    return [rollouts.texts[number] if number >= 0 else "" for number in numbers]


def _mean(scores: Sequence[float]) -> float | None:
    return 100 * sum(scores) / len(scores) if scores else None
