"""What the tables say, in a few sentences: the first thing that a reader of a report sees.

First a verdict on each method in question against its strongest control; then what warns of it;
then its difference from the SFT baseline and from every control. The sentences are made from the
figures by rule and for every method alike, so that nothing which disappoints is left out and
nothing is praised. What forbids a conclusion (one seed, more data than the baseline, an interval
that holds 0) stands in the same sentence as the figure.
"""

from __future__ import annotations

from collections.abc import Sequence

from tratree_cli.envs.registry import reward_parts
from tratree_cli.methods.registry import BASELINE
from tratree_cli.reporting.baseline_comparison import (
    ALPHA,
    AgainstBaseline,
    against_baseline,
    extra_data,
)
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.control_comparison import (
    AgainstControl,
    against_controls,
    in_question,
)
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import EvalSet, eval_sets, main_cohorts
from tratree_cli.reporting.verdicts import p_in_words, signed, verdicts
from tratree_cli.reporting.warnings.found import found_signs


def sentences(data: ReportData) -> tuple[str, ...]:
    """Sentences over the main comparison of every environment and split."""
    main = main_cohorts(data.cohorts)
    several = len(eval_sets(main)) > 1
    return tuple(
        sentence
        for eval_set in eval_sets(main)
        for sentence in _about(
            [g for g in main if eval_set.holds(g)], eval_set if several else None
        )
    )


def verdict_sentences(data: ReportData) -> tuple[str, ...]:
    """The verdicts alone, of every environment and split: what a report opens with."""
    main = main_cohorts(data.cohorts)
    sets = eval_sets(main)
    told = []
    for eval_set in sets:
        groups = [group for group in main if eval_set.holds(group)]
        where = f"{eval_set.title}: " if len(sets) > 1 else ""
        weighed = verdicts(groups, against_controls(groups), against_baseline(groups))
        told += [where + verdict.sentence for verdict in weighed]
    return tuple(told)


def _about(groups: Sequence[Cohort], eval_set: EvalSet | None) -> list[str]:
    comparison = against_baseline(groups)
    controls = against_controls(groups)
    weighed = verdicts(groups, controls, comparison)
    sentences = [verdict.sentence for verdict in weighed]
    sentences += _warnings(groups)
    for own, control in ((verdict.own, verdict.control) for verdict in weighed):
        rival = (
            next((r for r in comparison.rivals if r.cohort is own), None) if comparison else None
        )
        # Where the baseline is what it was weighed against, that was said.
        if rival is not None and comparison and comparison.baseline is not control:
            sentences += _against(rival, comparison.baseline)
        sentences += _beside_controls([one for one in controls if one.own is own])
    where = f"{eval_set.title}: " if eval_set else ""
    return [where + sentence for sentence in sentences]


def _warnings(groups: Sequence[Cohort]) -> list[str]:
    """What is bad about the methods in question and about the baseline that they start from."""
    asked = in_question(groups)
    parts = reward_parts(groups[0].descriptor.environment) if groups else ()
    return [
        signs.sentence
        for signs in found_signs(groups, parts)
        if signs.sentence and (signs.own in asked or signs.own.method == BASELINE)
    ]


def _against(rival: AgainstBaseline, baseline: Cohort) -> list[str]:
    if rival.cohort.reward is None or baseline.reward is None or not rival.difference.difference:
        return []
    sentence = (
        f"{rival.cohort.name} earns {rival.cohort.reward.value:.1f}, {baseline.name} "
        f"{baseline.reward.value:.1f}: {signed(rival.difference.difference)} "
        f"on the same {rival.difference.tasks} tasks"
    )
    if rival.difference.difference.low is not None and not rival.apart:
        sentence += ", an interval that holds 0"
    sentence += f"; {_over_seeds(rival)}"
    given = extra_data(rival.cohort, baseline)
    if given and given != "the same":
        sentence += f". Its data beside {baseline.name}'s: {given}"
    return [f"{sentence}."]


def _over_seeds(rival: AgainstBaseline) -> str:
    seeds = len(rival.cohort.rewards)
    if rival.welch_p is None:
        return "one training seed, so no test" if seeds == 1 else f"{seeds} seeds, no test"
    shown = "a difference is shown" if rival.welch_p < ALPHA else "no difference is shown"
    return f"over {seeds} training seeds {shown} ({p_in_words(rival.welch_p)})"


def _beside_controls(comparisons: Sequence[AgainstControl]) -> list[str]:
    """All controls of a policy in one sentence, where there are several."""
    parts = [
        f"{signed(one.reward.difference)} against {one.control.name} "
        f"({one.control.reward.value:.1f})"
        for one in comparisons
        if one.reward.difference is not None and one.control.reward is not None
    ]
    if len(parts) < 2:
        return []
    return [f"{comparisons[0].own.name} beside its controls: {'; '.join(parts)}."]
