"""What the tables say, in a few sentences: the first thing that a reader of a report sees.

The sentences are made from the figures by rule and for every method alike, so that nothing which
disappoints is left out and nothing is praised. What forbids a conclusion (one seed, more data than
the baseline, an interval that holds 0) stands in the same sentence as the figure.
"""

from __future__ import annotations

from collections.abc import Sequence

from tratree_cli.evaluation.bootstrap import Interval
from tratree_cli.evaluation.compare import paired_difference
from tratree_cli.methods.registry import is_method, method, stand_ins
from tratree_cli.reporting.baseline_comparison import (
    ALPHA,
    AgainstBaseline,
    against_baseline,
    extra_data,
)
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import EvalSet, eval_sets, main_cohorts


def sentences(data: ReportData) -> tuple[str, ...]:
    """Sentences over the main comparison of every environment; none without a baseline."""
    main = main_cohorts(data.cohorts)
    several = len(eval_sets(main)) > 1
    return tuple(
        sentence
        for eval_set in eval_sets(main)
        for sentence in _about(
            [g for g in main if eval_set.holds(g)], eval_set if several else None
        )
    )


def _about(groups: Sequence[Cohort], eval_set: EvalSet | None) -> list[str]:
    comparison = against_baseline(groups)
    if comparison is None or comparison.baseline.reward is None:
        return []
    baseline = comparison.baseline
    where = f"{eval_set.title}: " if eval_set else ""
    sentences = []
    for rival in comparison.rivals:
        in_question = is_method(rival.cohort.method) and method(rival.cohort.method).group == "main"
        if in_question and rival.cohort.reward and rival.difference.difference:
            sentences.append(where + _against(rival, baseline))
            sentences += _against_controls(rival.cohort, groups, where)
    return sentences


def _against(rival: AgainstBaseline, baseline: Cohort) -> str:
    assert rival.cohort.reward is not None and baseline.reward is not None
    assert rival.difference.difference is not None
    sentence = (
        f"{rival.cohort.name} earns {rival.cohort.reward.value:.1f}, {baseline.name} "
        f"{baseline.reward.value:.1f}: {_signed(rival.difference.difference)} "
        f"on the same {rival.difference.tasks} tasks"
    )
    if rival.difference.difference.low is not None and not rival.apart:
        sentence += ", an interval that holds 0"
    sentence += f"; {_over_seeds(rival)}"
    given = extra_data(rival.cohort, baseline)
    if given and given != "the same":
        sentence += f". Its data beside {baseline.name}'s: {given}"
    return f"{sentence}."


def _over_seeds(rival: AgainstBaseline) -> str:
    seeds = len(rival.cohort.rewards)
    if rival.welch_p is None:
        return "one training seed, so no test" if seeds == 1 else f"{seeds} seeds, no test"
    shown = "a difference is shown" if rival.welch_p < ALPHA else "no difference is shown"
    p = "p < 0.0001" if rival.welch_p < 0.0001 else f"p = {rival.welch_p:.4f}"
    return f"over {seeds} training seeds {shown} (Welch, Holm: {p})"


def _against_controls(own: Cohort, groups: Sequence[Cohort], where: str) -> list[str]:
    """The same policy against its controls, on the same tasks; described, not tested."""
    parts = []
    for name in method(own.method).controls:
        rows = [g for played in stand_ins(name) for g in groups if g.method == played]
        control = next((g for g in rows if g.reward), None)
        if control is None or control.reward is None:
            continue
        metrics = control.runs[0].evaluation.metrics
        paired = paired_difference(
            own.task_rewards,
            control.task_rewards,
            resamples=metrics.resamples,
            level=metrics.level,
            seed=metrics.seed,
        )
        if paired.difference is not None:
            parts.append(
                f"{_signed(paired.difference)} against {control.name} ({control.reward.value:.1f})"
            )
    return [f"{where}{own.name} beside its controls: {'; '.join(parts)}."] if parts else []


def _signed(difference: Interval) -> str:
    text = f"{difference.value:+.1f}"
    if difference.low is not None and difference.high is not None:
        text += f" [{difference.low:.1f}, {difference.high:.1f}]"
    return text.replace("-", "−")
