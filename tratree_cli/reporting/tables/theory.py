"""What can be measured of Theorem 1 (section 3.3), beside what it promises.

The bound has an unknown constant and an optimal policy that nobody has, so it cannot be checked.
Its ingredients can be shown: how many pairs there were (N_p), whether the trained policy prefers
the right side of pairs it never saw, how far it moved from the weak reference, and whether the
tree's pairs part outcomes further than random ones. The failure-safe case is part of the table.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from tratree_cli.display.blocks import COUNT, PERCENT, RATIO, TEXT, Cell, Column, Row, Table
from tratree_cli.methods.registry import is_method, method, rank, title
from tratree_cli.reporting import lineage
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import environment_title

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
        sampled = is_method(descriptor.method) and method(descriptor.method).best_of > 1
        if policy is not None and not descriptor.varied and not sampled:
            group = _Group(
                descriptor.environment, descriptor.method, descriptor.family, descriptor.weak
            )
            groups.setdefault(group, {})[policy.recipe] = policy
    rows = []
    for group in sorted(groups, key=lambda group: (rank(group.method), group)):
        policies = list(groups[group].values())
        pairs = [p for policy in policies for p in lineage.inputs(data.store, policy, "pairs")]
        measured = [
            data.accuracies[policy.recipe].summary
            for policy in policies
            if policy.recipe in data.accuracies
        ]
        if not pairs and not measured:
            continue
        counts = [int(entry.summary.get("pairs", 0)) for entry in pairs]
        rows.append(
            PreferenceEvidence(
                label=_label(group, groups),
                pairs=round(fmean(counts)) if counts else None,
                held_out=sum(int(summary["pairs"]) for summary in measured) if measured else None,
                accuracy=_mean(measured, "accuracy"),
                margin=_mean(measured, "margin"),
                kl=_mean(measured, "kl"),
                score_gap=_mean([entry.summary for entry in pairs], "mean_gap"),
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


def _mean(summaries: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [float(summary[name]) for summary in summaries if summary.get(name) is not None]
    return fmean(known) if known else None


@dataclass(frozen=True)
class PreferenceEvidence:
    """One trained policy; None where a figure was not measured.

    ``pairs`` is N_p, None for a policy that was not trained on pairs; ``accuracy`` the share of
    held-out pairs (in [0, 1]) whose preferred side has the higher implicit reward, over
    ``held_out`` pairs; ``margin`` their mean difference of log-ratios to the weak reference in nats
    (the implicit reward margin without its factor β); ``kl`` the estimated KL to the weak reference
    per token, in nats; ``score_gap`` the mean G of preferred minus rejected continuations.
    """

    label: str
    pairs: int | None
    held_out: int | None = None
    accuracy: float | None = None
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
            "side has the higher log-ratio to the weak reference, in percent, with a 95 % Wilson "
            "interval. Margin: mean difference of the two log-ratios, in nats. KL: to the weak "
            "reference per token of the agent, in the states of those pairs. ΔG: preferred minus "
            "rejected score in training. Means over training seeds.",
            *(_failure_safe(row) for row in evidence if row.pairs == 0),
            "The bound itself cannot be checked: its constant and its best policy are unknown.",
        ),
    )


def wilson(share: float, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval of a share observed on ``count`` > 0 cases."""
    centre = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return (centre - half) / scale, (centre + half) / scale


def _row(policy: PreferenceEvidence) -> Row:
    preferred = Cell()
    if policy.accuracy is not None:
        preferred = Cell(100 * policy.accuracy)
        if policy.held_out:
            low, high = wilson(policy.accuracy, policy.held_out)
            preferred = Cell(100 * policy.accuracy, 100 * low, 100 * high)
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
