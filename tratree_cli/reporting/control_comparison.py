"""Each method in question against its controls, as values.

A control has what a method brings along (updates, episodes, the chosen sides of its pairs) and
lacks what it is about. A method that beats the SFT baseline and not its controls has shown nothing
of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tratree_cli.evaluation.behaviour import strict
from tratree_cli.evaluation.compare import PairedDifference, paired_difference
from tratree_cli.evaluation.significance import SeedTest, hedges_g, holm, welch
from tratree_cli.methods.registry import is_method, method, stand_ins
from tratree_cli.reporting.cohort_figures import difference, seed_means
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.rows import EvaluationRow


@dataclass(frozen=True)
class AgainstControl:
    """One method against one control; both p are Holm-corrected over all comparisons."""

    own: Cohort
    control: Cohort
    reward: PairedDifference
    strict: PairedDifference
    reward_test: SeedTest
    strict_test: SeedTest
    effect: float | None
    reward_p: float | None = None
    strict_p: float | None = None


def against_controls(groups: Sequence[Cohort]) -> tuple[AgainstControl, ...]:
    """Every comparison within one environment and split whose control was evaluated there.

    In the order of the methods and of their declared controls; a control that is not there is
    passed over.
    """
    found = [
        _against(own, control)
        for own in in_question(groups)
        for name in method(own.method).controls
        if (control := _evaluated(name, groups)) is not None and control is not own
    ]
    reward_p = holm([one.reward_test.p for one in found])
    strict_p = holm([one.strict_test.p for one in found])
    return tuple(
        replace(one, reward_p=p, strict_p=q)
        for one, p, q in zip(found, reward_p, strict_p, strict=True)
    )


def _evaluated(name: str, groups: Sequence[Cohort]) -> Cohort | None:
    """The cohort of a control, or of a method that stands in for it by training alike."""
    rows = (g for played in stand_ins(name) for g in groups if g.method == played)
    return next((row for row in rows if row.reward), None)


def in_question(groups: Sequence[Cohort]) -> list[Cohort]:
    """The cohorts with a reward of the methods that a study is about."""
    return [
        group
        for group in groups
        if is_method(group.method) and method(group.method).group == "main" and group.reward
    ]


def strongest(comparisons: Sequence[AgainstControl], own: Cohort) -> AgainstControl | None:
    """The comparison with the control that earns most; None without a control."""
    own_controls = [one for one in comparisons if one.own is own and one.reward.difference]
    return max(own_controls, key=_earned, default=None)


def _earned(comparison: AgainstControl) -> float:
    assert comparison.control.reward is not None
    return comparison.control.reward.value


def _against(own: Cohort, control: Cohort) -> AgainstControl:
    metrics = control.runs[0].evaluation.metrics
    return AgainstControl(
        own=own,
        control=control,
        reward=paired_difference(
            own.task_rewards,
            control.task_rewards,
            resamples=metrics.resamples,
            level=metrics.level,
            seed=metrics.seed,
        ),
        strict=difference(own, control, strict),
        reward_test=welch(own.rewards, control.rewards),
        strict_test=welch(seed_means(own, _strict), seed_means(control, _strict)),
        effect=hedges_g(own.rewards, control.rewards),
    )


def _strict(run: EvaluationRow) -> float | None:
    perfect = run.evaluation.metrics.perfect
    return None if perfect is None else perfect.value
