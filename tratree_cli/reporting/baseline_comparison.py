"""Each method against the SFT strong baseline, as values: over tasks, over seeds, and of the gap.

Three questions. The paired difference resamples tasks; the tests resample training seeds; the
recovered gap places the method between the weak model and the ceiling. What a method was given
beyond the baseline stands beside the answers, because it is part of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tratree_cli.evaluation import methods
from tratree_cli.evaluation.compare import (
    GapRecovered,
    PairedDifference,
    paired_difference,
    performance_gap_recovered,
)
from tratree_cli.evaluation.significance import SeedTest, hedges_g, holm, paired, welch
from tratree_cli.reporting.cohorts import Cohort

ALPHA = 0.05
_NOT_COMPARED = (methods.EXPERT, methods.RANDOM, methods.SFT_STRONG)


@dataclass(frozen=True)
class Versus:
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
        return (
            interval is not None
            and interval.low is not None
            and interval.high is not None
            and (interval.low > 0 or interval.high < 0)
        )

    @property
    def tested(self) -> bool:
        """Whether there is any test over seeds."""
        return self.welch_p is not None or self.paired_p is not None


@dataclass(frozen=True)
class Comparison:
    """All rivals of one baseline within an environment and split.

    ``has_ceiling`` tells whether the gap ends at a ceiling model or, without one, at the baseline.
    """

    baseline: Cohort
    rivals: tuple[Versus, ...]
    has_ceiling: bool


def against_baseline(groups: Sequence[Cohort]) -> Comparison | None:
    """The comparison within one environment and split; None without a baseline or a rival."""
    baseline = next((group for group in groups if group.method == methods.BASELINE), None)
    rivals = [group for group in groups if group.method not in _NOT_COMPARED]
    if baseline is None or not rivals:
        return None
    ceiling = next((group for group in groups if group.method == methods.CEILING), None)
    weak = next((group for group in groups if group.method == methods.SFT_WEAK), None)
    compared = [_versus(rival, baseline, weak, ceiling or baseline) for rival in rivals]
    welch_p = holm([one.unpaired.p for one in compared])
    paired_p = holm([one.matched.p for one in compared])
    corrected = tuple(
        replace(one, welch_p=p, paired_p=q)
        for one, p, q in zip(compared, welch_p, paired_p, strict=True)
    )
    return Comparison(baseline, corrected, ceiling is not None)


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
    words = [f"{more:+,d} {name}".replace("-", "−") for more, name in known if more]
    if (samples := own.descriptor.best_of or 1) > 1:
        words.append(f"reward of {samples} samples a tested task")
    return ", ".join(words) or "the same"


def _versus(rival: Cohort, baseline: Cohort, weak: Cohort | None, ceiling: Cohort) -> Versus:
    metrics = baseline.runs[0].evaluation.metrics
    return Versus(
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
