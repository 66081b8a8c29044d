"""What can be measured of Theorem 1 (section 3.3), beside what it promises.

The bound has an unknown constant and an optimal policy that nobody has, so it cannot be checked.
Its ingredients can be shown: how many pairs there were (N_p), whether the trained policy prefers
the right side of pairs it never saw, how far it moved from the weak reference, and whether the
tree's pairs part outcomes further than random ones. The failure-safe case is part of the table.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tratree_cli.display.blocks import COUNT, PERCENT, RATIO, TEXT, Cell, Column, Row, Table
from tratree_cli.evaluation.bootstrap import Interval, mean_over_runs_intervals
from tratree_cli.methods.registry import is_method, method, rank, title
from tratree_cli.reporting import lineage
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import environment_title
from tratree_cli.stages.preference_accuracy import MEASURED

if TYPE_CHECKING:
    from tratree_store import Entry


def table(data: ReportData) -> Table | None:
    """The evidence of every trained policy of the recipe's own settings."""
    return theory_table(evidence(data))


class _Group(NamedTuple):
    """What figures may be averaged over: one method, environment and pair of models."""

    environment: str
    method: str
    strong: str
    weak: str


def evidence(data: ReportData) -> list[PreferenceEvidence]:
    """One row a group: means over training seeds.

    Of the recipe's own settings only; a policy that was evaluated several times counts once.
    """
    if data.store is None:
        return []
    groups: dict[_Group, dict[str, Entry]] = {}
    for row in data.rows:
        descriptor, policy = row.descriptor, row.lineage.policy if row.lineage else None
        applies = not is_method(descriptor.method) or method(descriptor.method).theorem
        if policy is not None and not descriptor.varied and applies:
            group = _Group(
                descriptor.environment, descriptor.method, descriptor.family, descriptor.weak
            )
            groups.setdefault(group, {})[policy.recipe] = policy
    rows = []
    for group in sorted(groups, key=lambda group: (rank(group.method), group)):
        policies = list(groups[group].values())
        pairs = [p for policy in policies for p in lineage.inputs(data.store, policy, "pairs")]
        accuracies = [
            data.accuracies[policy.recipe]
            for policy in policies
            if policy.recipe in data.accuracies
        ]
        measured = [entry.summary for entry in accuracies]
        if not pairs and not measured:
            continue
        counts = [int(entry.summary.get("pairs", 0)) for entry in pairs]
        rows.append(
            PreferenceEvidence(
                label=_label(group, groups),
                pairs=round(fmean(counts)) if counts else None,
                held_out=sum(int(summary["pairs"]) for summary in measured) if measured else None,
                accuracy=_accuracy(accuracies),
                margin=_mean(measured, "margin"),
                kl=_mean(measured, "kl"),
                score_gap=_score_gap(pairs),
                same_as_baseline=any("adopted" in policy.summary for policy in policies),
            )
        )
    return rows


def _label(group: _Group, groups: Collection[_Group]) -> str:
    """The method, with its environment and models where those of others differ."""
    parts = [title(group.method)]
    if len({other.environment for other in groups}) > 1:
        parts.append(environment_title(group.environment))
    if sum(other[:2] == group[:2] for other in groups) > 1:
        parts.append(" from ".join(filter(None, group[2:])))
    return ", ".join(parts)


def _accuracy(measured: Sequence[Entry]) -> Interval | None:
    """The mean over seeds of the shares; measurements of an earlier version have no interval."""
    share = _mean([entry.summary for entry in measured], "accuracy")
    runs = [by_task for entry in measured if (by_task := _by_task(entry))]
    if share is None or len(runs) < sum(entry.summary.get("pairs", 0) > 0 for entry in measured):
        return None if share is None else Interval(share)
    tasks = sorted({task for run in runs for task in run})
    nothing = {"pairs": 0, "preferred": 0}
    cells = [[run.get(task, nothing) for run in runs] for task in tasks]
    return mean_over_runs_intervals(
        [[[cell["preferred"]] for cell in row] for row in cells],
        [[cell["pairs"] for cell in row] for row in cells],
    )[0]


def _by_task(accuracy: Entry) -> Mapping[str, Mapping[str, float]]:
    """Held-out pairs by task, and how many of them are ranked rightly; empty where unknown."""
    import orjson

    path = accuracy.path / MEASURED
    by_task = orjson.loads(path.read_bytes()).get("by_task", {}) if path.is_file() else {}
    return cast(Mapping[str, Mapping[str, float]], by_task)


def _score_gap(pairs: Sequence[Entry]) -> float | None:
    """Mean difference of the two trajectories' own scores, whatever a rule compares."""
    from tratree_cli.formats.pairs import PAIRS, read_pairs

    read = [read_pairs(entry.path).pairs for entry in pairs if (entry.path / PAIRS).is_file()]
    gaps = [
        fmean(p.chosen_score - p.rejected_score for p in of_seed) for of_seed in read if of_seed
    ]
    return fmean(gaps) if gaps else None


def _mean(summaries: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [float(summary[name]) for summary in summaries if summary.get(name) is not None]
    return fmean(known) if known else None


@dataclass(frozen=True)
class PreferenceEvidence:
    """One trained policy; None where a figure was not measured.

    ``pairs`` is N_p, None for a policy that was not trained on pairs; ``accuracy`` the share of
    held-out pairs (in [0, 1]) whose preferred side has the higher implicit reward, over
    ``held_out`` pairs, with an interval over their tasks; ``margin`` their mean difference of
    log-ratios to the weak reference in nats (the implicit reward margin without its factor β);
    ``kl`` the estimated KL to the weak reference per token, in nats; ``score_gap`` the mean G of
    preferred minus rejected trajectories.
    """

    label: str
    pairs: int | None
    held_out: int | None = None
    accuracy: Interval | None = None
    margin: float | None = None
    kl: float | None = None
    score_gap: float | None = None
    same_as_baseline: bool = False


def theory_table(evidence: Sequence[PreferenceEvidence]) -> Table | None:
    """One row a policy; None without any."""
    if not evidence:
        return None
    return Table(
        key="theory",
        title="What Theorem 1 rests on",
        columns=(
            Column("Policy", TEXT),
            Column("Pairs", COUNT),
            Column("Held out", COUNT),
            Column("Preferred", PERCENT),
            Column("Margin", RATIO),
            Column("KL", RATIO),
            Column("ΔG", RATIO),
        ),
        rows=tuple(map(_row, evidence)),
        notes=(
            "Pairs: N_p. Preferred: held-out pairs (of tasks that nobody trained on) whose better "
            "side has the higher log-ratio to the weak reference, in percent, with a 95 % "
            "bootstrap interval over tasks: the pairs of a task, of all seeds, are drawn together. "
            "Margin: mean difference of the two log-ratios, in nats. KL: to the weak reference per "
            "token of the agent, in the states of those pairs. ΔG: own score of the preferred "
            "minus that of the rejected trajectory, in training. Means over training seeds.",
            *(_failure_safe(row) for row in evidence if row.pairs == 0),
            "The bound itself cannot be checked: its constant and its best policy are unknown.",
        ),
    )


def _row(policy: PreferenceEvidence) -> Row:
    preferred = Cell()
    if policy.accuracy is not None:
        percent = policy.accuracy.scaled(100)
        preferred = Cell(percent.value, percent.low, percent.high)
    return Row(
        (
            Cell(policy.label),
            Cell(policy.pairs),
            Cell(policy.held_out),
            preferred,
            Cell(policy.margin),
            Cell(policy.kl),
            Cell(policy.score_gap),
        )
    )


def _failure_safe(policy: PreferenceEvidence) -> str:
    if policy.same_as_baseline:
        return (
            f"{policy.label}: no pair was informative, so the result is the SFT strong model "
            "itself (the failure-safe case)."
        )
    return f"{policy.label}: no pair was informative, yet the result differs from its start."
