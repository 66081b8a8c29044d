"""What the rounds of each method earned on dev, those of all its seeds taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from tratree_cli.evaluation.artifact import read_evaluation
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.reporting.selection import cohort_label
from tratree_cli.training.rounds import PlayedRound, Rounds, rounds_of

if TYPE_CHECKING:
    from tratree_store import Store


@dataclass(frozen=True)
class RoundResult:
    """One round of a policy: over how many runs, what it added, and how it played the dev tasks.

    ``dev`` is None where an evaluation of it was collected since; then ``reward`` is the mean of
    what was recorded.
    """

    number: int
    played: tuple[PlayedRound, ...]
    dev: Cohort | None
    best_of: int
    """Of how many runs it is the best round."""

    @property
    def reward(self) -> float:
        return fmean(one.reward for one in self.played)

    def mean(self, name: str) -> float:
        """The mean over runs of a field of ``PlayedRound``."""
        return fmean(getattr(one, name) for one in self.played)


@dataclass(frozen=True)
class PolicyRounds:
    """The rounds of one policy of a report, and what its runs say of their end."""

    label: str
    runs: tuple[Rounds, ...]
    rounds: tuple[RoundResult, ...]

    @property
    def endings(self) -> tuple[str, ...]:
        """The sentences about runs that ended before their last round, each once."""
        return tuple(dict.fromkeys(run.ended for run in self.runs if run.ended))


def policy_rounds(data: ReportData) -> tuple[PolicyRounds, ...]:
    """Every policy of the report that was trained in rounds."""
    if data.store is None:
        return ()
    found = []
    for cohort in data.cohorts:
        known = [(row, rounds) for row in cohort.runs if (rounds := _rounds_of(row)) is not None]
        if known:
            label = cohort_label(cohort, data.cohorts)
            runs = tuple(rounds for _, rounds in known)
            found.append(PolicyRounds(label, runs, _results(data.store, known)))
    return tuple(found)


def _rounds_of(row: EvaluationRow) -> Rounds | None:
    policy = row.lineage.policy if row.lineage else None
    return rounds_of(policy.summary) if policy is not None else None


def _results(
    store: Store, known: Sequence[tuple[EvaluationRow, Rounds]]
) -> tuple[RoundResult, ...]:
    most = max(len(rounds.played) for _, rounds in known)
    results = []
    for number in range(1, most + 1):
        there = [(row, rounds) for row, rounds in known if len(rounds.played) >= number]
        played = tuple(rounds.played[number - 1] for _, rounds in there)
        rows = [
            _dev_row(store, row, one.evaluation)
            for (row, _), one in zip(there, played, strict=True)
        ]
        complete = tuple(row for row in rows if row is not None)
        dev = Cohort(complete) if len(complete) == len(played) else None
        best = sum(rounds.best.number == number for _, rounds in there)
        results.append(RoundResult(number, played, dev, best))
    return tuple(results)


def _dev_row(store: Store, row: EvaluationRow, recipe: str) -> EvaluationRow | None:
    entry = next(iter(store.records_of(recipe)), None)
    if entry is None:
        return None
    evaluation = read_evaluation(entry.path)
    own = replace(
        evaluation.descriptor, seed=row.descriptor.seed, data_seed=row.descriptor.data_seed
    )
    return EvaluationRow(replace(evaluation, descriptor=own))
