"""Each method against the SFT strong baseline, as values: over tasks, over seeds, and of the gap.

Three questions. The paired difference resamples tasks; the tests resample training seeds; the
recovered gap places the method between the weak model and the ceiling. What a method was given
beyond the baseline stands beside the answers, because it is part of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tratree_cli.evaluation.compare import (
    GapRecovered,
    PairedDifference,
    paired_difference,
    performance_gap_recovered,
)
from tratree_cli.evaluation.significance import SeedTest, hedges_g, holm, paired, welch
from tratree_cli.methods.registry import BASELINE, CEILING, WEAK, is_method, method
from tratree_cli.reporting.cohorts import Cohort

ALPHA = 0.05


@dataclass(frozen=True)
class AgainstBaseline:
    """One method against the baseline; ``welch_p`` and ``paired_p`` are Holm-corrected."""

    cohort: Cohort
    difference: PairedDifference
    unpaired: SeedTest
    matched: SeedTest
    effect: float | None
    gap: GapRecovered
    welch_p: float | None = None
    paired_p: float | None = None

    @property
    def apart(self) -> bool:
        """Whether the interval over tasks leaves out 0."""
        interval = self.difference.difference
        return interval is not None and interval.leaves_out_zero

    @property
    def tested(self) -> bool:
        """Whether there is any test over seeds."""
        return self.welch_p is not None or self.paired_p is not None


@dataclass(frozen=True)
class BaselineComparison:
    """All rivals of one baseline within an environment and split.

    ``has_ceiling`` tells whether the gap ends at a ceiling model or, without one, at the baseline.
    """

    baseline: Cohort
    rivals: tuple[AgainstBaseline, ...]
    has_ceiling: bool


def against_baseline(groups: Sequence[Cohort]) -> BaselineComparison | None:
    """The comparison within one environment and split; None without a baseline or a rival."""
    baseline = next((group for group in groups if group.method == BASELINE), None)
    rivals = [group for group in groups if _is_compared(group.method)]
    if baseline is None or not rivals:
        return None
    ceiling = next((group for group in groups if group.method == CEILING), None)
    weak = next((group for group in groups if group.method == WEAK), None)
    compared = [_against(rival, baseline, weak, ceiling or baseline) for rival in rivals]
    welch_p = holm([rival.unpaired.p for rival in compared])
    paired_p = holm([rival.matched.p for rival in compared])
    corrected = tuple(
        replace(rival, welch_p=p, paired_p=q)
        for rival, p, q in zip(compared, welch_p, paired_p, strict=True)
    )
    return BaselineComparison(baseline, corrected, ceiling is not None)


def extra_data(own: Cohort, baseline: Cohort) -> str:
    """What ``own`` was given beyond ``baseline``, in words; empty where nothing is known.

    The best of N samples is chosen by a reward that no other policy of the comparison sees.
    """
    pairs = (
        (own.budget.demonstrations, baseline.budget.demonstrations, "demonstrations"),
        (own.budget.episodes, baseline.budget.episodes, "episodes"),
        (own.budget.optimizer_steps, baseline.budget.optimizer_steps, "updates"),
    )
    known = [(mine - its, name) for mine, its, name in pairs if None not in (mine, its)]  # type: ignore[operator]
    if not known:
        return ""
    differences = [f"{more:+,d} {name}".replace("-", "−") for more, name in known if more]
    if (samples := own.descriptor.best_of or 1) > 1:
        differences.append(f"reward of {samples} samples a tested task")
    return ", ".join(differences) or "the same"


def _is_compared(name: str) -> bool:
    """Whether a policy is set against the baseline; those that are no method are."""
    return not is_method(name) or method(name).compared


def _against(
    rival: Cohort, baseline: Cohort, weak: Cohort | None, ceiling: Cohort
) -> AgainstBaseline:
    metrics = baseline.runs[0].evaluation.metrics
    return AgainstBaseline(
        cohort=rival,
        difference=paired_difference(
            rival.task_rewards,
            baseline.task_rewards,
            resamples=metrics.resamples,
            level=metrics.level,
            seed=metrics.seed,
        ),
        unpaired=welch(rival.rewards, baseline.rewards),
        matched=paired(rival.rewards_by_seed, baseline.rewards_by_seed),
        effect=hedges_g(rival.rewards, baseline.rewards),
        gap=performance_gap_recovered(_value(rival), _value(weak), _value(ceiling)),
    )


def _value(group: Cohort | None) -> float | None:
    return None if group is None or group.reward is None else group.reward.value
