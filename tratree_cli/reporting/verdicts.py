"""A report's first sentence about each method in question: is it more than its strongest control?

Made by rule. "Above" needs an interval over tasks that leaves out 0, and what the training seeds
say of it stands in the same sentence; one seed is never more than one seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tratree_cli.evaluation.bootstrap import Interval
from tratree_cli.evaluation.compare import PairedDifference
from tratree_cli.methods.registry import is_method, method
from tratree_cli.reporting.baseline_comparison import ALPHA, BaselineComparison, extra_data
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.control_comparison import (
    AgainstControl,
    in_question,
    strongest,
)

_NOTHING: tuple[None, None, None] = (None, None, None)


@dataclass(frozen=True)
class Verdict:
    """A policy, the control that it was weighed against, and the sentence about both."""

    own: Cohort
    control: Cohort
    sentence: str


def verdicts(
    groups: Sequence[Cohort],
    comparisons: Sequence[AgainstControl],
    baseline: BaselineComparison | None,
) -> list[Verdict]:
    """One for each method in question within one environment and split.

    The SFT baseline takes a control's place where no control was evaluated, and where it earns
    more than all of them.
    """
    start = baseline.baseline if baseline is not None and baseline.baseline.reward else None
    sentences = []
    for own in in_question(groups):
        best = strongest(comparisons, own)
        rival = next((r for r in baseline.rivals if r.cohort is own), None) if baseline else None
        control, difference, p = (best.control, best.reward, best.reward_p) if best else _NOTHING
        if rival and start and (control is None or _earned(start) > _earned(control)):
            control, difference, p = start, rival.difference, rival.welch_p
        if control is None or difference is None or difference.difference is None:
            continue
        given = extra_data(own, control)
        words = [verdict(own, control, difference, p)]
        words += [_strict(best)] if best is not None and control is best.control else []
        words += ["No control of it stands in this report."] if best is None else []
        words += [f"Its data beside that: {given}."] if given not in ("", "the same") else []
        sentences.append(Verdict(own, control, " ".join(filter(None, words))))
    return sentences


def verdict(own: Cohort, control: Cohort, paired: PairedDifference, p: float | None) -> str:
    """What the difference says in words; ``p`` is of the test over seeds, if there was one."""
    difference = paired.difference
    assert difference is not None
    earned, its = f"{own.name} {_earned(own):.1f}", f"{control.name} ({_earned(control):.1f})"
    on = f"on the same {paired.tasks} tasks"
    record = method(control.method) if is_method(control.method) else None
    same = (record and record.alternative) or "that control"
    if not difference.leaves_out_zero:
        size = f"{signed(difference)} {on}"
        if difference.value > 0:
            return f"{earned} is not shown to be above {its}, {size}: {same} may do as much."
        return f"{earned} is no more than {its}, {size}: {same} does as much."
    size = f"{abs(difference.value):.1f}{_bounds(difference, absolute=True)}"
    side = "above" if difference.value > 0 else "below"
    less = "less" if side == "above" else "more"
    plain = f": {same} does {less}" if p is None or p < ALPHA else ""
    seeds = _over_seeds(own, control, p)
    words = f"{plain}{seeds}" if p is None else f"{seeds}{plain}"
    return f"{earned} is {size} {side} {its} {on}{words}."


def _over_seeds(own: Cohort, control: Cohort, p: float | None) -> str:
    seeds = min(len(set(own.seeds)), len(set(control.seeds)))
    if p is None:
        number = "one seed" if seeds == 1 else f"{seeds} seeds"
        return f"; {number}, so no test over trainings"
    shown = "and" if p < ALPHA else "not shown"
    return f", {shown} over {seeds} training seeds ({p_in_words(p)})"


def _strict(best: AgainstControl) -> str:
    """The difference in strict success, where that is not the environment's own success."""
    interval = best.strict.difference
    same = all(one.mean("perfect") == one.mean("success") for one in (best.own, best.control))
    if interval is None or same:
        return ""
    tested = "" if best.strict_p is None else f" ({p_in_words(best.strict_p)})"
    return f"In strict success: {signed(interval)}{tested}."


def signed(difference: Interval) -> str:
    """``+4.1 [2.6, 5.7]``."""
    return f"{difference.value:+.1f}{_bounds(difference)}".replace("-", "−")


def p_in_words(p: float) -> str:
    """``Welch, Holm: p = 0.0440``."""
    return "Welch, Holm: " + ("p < 0.0001" if p < 0.0001 else f"p = {p:.4f}")


def _bounds(interval: Interval, absolute: bool = False) -> str:
    if interval.low is None or interval.high is None:
        return ""
    low, high = interval.low, interval.high
    if absolute and interval.value < 0:
        low, high = -high, -low
    return f" [{low:.1f}, {high:.1f}]".replace("-", "−")


def _earned(cohort: Cohort) -> float:
    assert cohort.reward is not None
    return cohort.reward.value
