"""What the tables say, in a few sentences: the first thing that a reader of a report sees.

The sentences are made from the figures by rule and for every method alike, so that nothing which
disappoints is left out and nothing is praised. What forbids a conclusion (one seed, more data than
the baseline, an interval that holds 0) stands in the same sentence as the figure.
"""

from __future__ import annotations

from collections.abc import Sequence

from tratree_cli.evaluation import methods
from tratree_cli.evaluation.bootstrap import Interval
from tratree_cli.evaluation.compare import paired_difference
from tratree_cli.reporting.baseline_comparison import ALPHA, Versus, against_baseline, extra_data
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.selection import Place, main_cohorts, places

OURS = (methods.TREE_DPO, methods.MCTS)
"""The methods in question; the others are baselines and controls."""
CONTROLS = {
    methods.TREE_DPO: (methods.UNSTRUCTURED_DPO,),
    methods.MCTS: (methods.BEST_OBSERVED, methods.SFT_MORE),
}
"""What tells the tree or the search apart from the data and the training that come with it."""


def findings(groups: Sequence[Cohort]) -> tuple[str, ...]:
    """Sentences over the main comparison of every environment; none without a baseline."""
    main = main_cohorts(groups)
    several = len(places(main)) > 1
    return tuple(
        sentence
        for place in places(main)
        for sentence in _of_place([g for g in main if place.holds(g)], place if several else None)
    )


def _of_place(groups: Sequence[Cohort], place: Place | None) -> list[str]:
    comparison = against_baseline(groups)
    if comparison is None or comparison.baseline.reward is None:
        return []
    baseline = comparison.baseline
    where = f"{place.title}: " if place else ""
    sentences = []
    for one in comparison.rivals:
        if one.cohort.method in OURS and one.cohort.reward and one.difference.difference:
            sentences.append(where + _against(one, baseline))
            sentences += _against_controls(one.cohort, groups, where)
    return sentences


def _against(one: Versus, baseline: Cohort) -> str:
    assert one.cohort.reward is not None and baseline.reward is not None
    assert one.difference.difference is not None
    words = (
        f"{one.cohort.name} earns {one.cohort.reward.value:.1f}, {baseline.name} "
        f"{baseline.reward.value:.1f}: {_signed(one.difference.difference)} "
        f"on the same {one.difference.tasks} tasks"
    )
    if one.difference.difference.low is not None and not one.apart:
        words += ", an interval that holds 0"
    words += f"; {_over_seeds(one)}"
    given = extra_data(one.cohort, baseline)
    if given and given != "the same":
        words += f". Its data beside {baseline.name}'s: {given}"
    return f"{words}."


def _over_seeds(one: Versus) -> str:
    seeds = len(one.cohort.rewards)
    if one.welch_p is None:
        return "one training seed, so no test" if seeds == 1 else f"{seeds} seeds, no test"
    shown = "a difference is shown" if one.welch_p < ALPHA else "no difference is shown"
    p = "p < 0.0001" if one.welch_p < 0.0001 else f"p = {one.welch_p:.4f}"
    return f"over {seeds} training seeds {shown} (Welch, Holm: {p})"


def _against_controls(own: Cohort, groups: Sequence[Cohort], where: str) -> list[str]:
    """The same policy against its controls, on the same tasks; described, not tested."""
    parts = []
    for name in CONTROLS[own.method]:
        control = next((g for g in groups if g.method == name and g.reward), None)
        if control is None or control.reward is None:
            continue
        metrics = control.runs[0].evaluation.metrics
        found = paired_difference(
            own.task_rewards,
            control.task_rewards,
            resamples=metrics.resamples,
            level=metrics.level,
            seed=metrics.seed,
        )
        if found.difference is not None:
            parts.append(
                f"{_signed(found.difference)} against {control.name} ({control.reward.value:.1f})"
            )
    return [f"{where}{own.name} beside its controls: {'; '.join(parts)}."] if parts else []


def _signed(difference: Interval) -> str:
    text = f"{difference.value:+.1f}"
    if difference.low is not None and difference.high is not None:
        text += f" [{difference.low:.1f}, {difference.high:.1f}]"
    return text.replace("-", "−")
