"""The signs of every trained policy of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tratree_cli.envs.protocol import FINISHED, RewardPart
from tratree_cli.evaluation.behaviour import (
    Figure,
    malformed,
    of_part,
    repeating,
    unfinished,
)
from tratree_cli.methods.registry import BASELINE, is_method, method
from tratree_cli.reporting.cohort_figures import difference, task_means
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.warnings import episodes, pairs
from tratree_cli.reporting.warnings.convergence import stopped_early
from tratree_cli.reporting.warnings.episodes import Change
from tratree_cli.reporting.warnings.sign import Sign

PREFERRED = ("initial_preferred", "initial_accuracy")
LATER = ("margin_variance_after_first_turn",)
"""Under which names a model's summary holds the facts about its pairs, the first that it has."""


@dataclass(frozen=True)
class Signs:
    """What the rules found of one policy; ``start`` is the model that its training started from."""

    own: Cohort
    start: Cohort | None
    signs: tuple[Sign, ...]

    @property
    def sentence(self) -> str:
        """All that is bad in one sentence; empty where nothing is."""
        bad = [sign.words for sign in self.signs if sign.bad]
        return f"{self.own.name}: {'; '.join(bad)}." if bad else ""


def found_signs(groups: Sequence[Cohort], parts: Sequence[RewardPart]) -> tuple[Signs, ...]:
    """The policies of one environment and split for which there is any sign, in their order.

    Only what was trained from the SFT baseline is compared with it.
    """
    start = next((group for group in groups if group.method == BASELINE), None)
    found = []
    for own in groups:
        before = start if start is not None and _continues(own) else None
        changes = _changes(own, before, parts) if before is not None else []
        signs = (*changes, *_facts(_summaries(own)))
        if signs:
            found.append(Signs(own, before, signs))
    return tuple(found)


def _continues(own: Cohort) -> bool:
    """Whether the policy's training started from the SFT strong model."""
    started = own.descriptor.parameters.get("train.init", "sft")
    return is_method(own.method) and method(own.method).init == "sft" and started == "sft"


def _changes(own: Cohort, start: Cohort, parts: Sequence[RewardPart]) -> list[Sign]:
    # An environment's own word for finished says the same as unfinished episodes do.
    plain = [unfinished] if all(part.holds is not FINISHED.holds for part in parts) else []
    found: list[Sign] = []
    if change := _change(own, start, malformed, 1):
        found.append(episodes.malformed(change))
    for figure in plain:
        if change := _change(own, start, figure, 100):
            found.append(episodes.unfinished(change))
    for part in parts:
        if part.better and (change := _change(own, start, of_part(part), 100)):
            found.append(episodes.part(change, part))
    if change := _change(own, start, repeating, 100):
        found.append(episodes.repeats(change))
    return found


def _change(own: Cohort, start: Cohort, figure: Figure, unit: float) -> Change | None:
    """The figure times ``unit`` of both and its difference; None where it is not known of both."""
    mine, its = task_means(own, figure), task_means(start, figure)
    paired = difference(own, start, figure).difference
    if paired is None:
        return None
    return Change(
        fmean(mine.values()) * unit, fmean(its.values()) * unit, paired.scaled(unit / 100)
    )


def _summaries(own: Cohort) -> list[Mapping[str, Any]]:
    """What the trainings of a cohort's models stored; none of scripted and foreign policies."""
    policies = [run.lineage.policy for run in own.runs if run.lineage is not None]
    return [policy.summary for policy in policies if policy is not None]


def _facts(summaries: Sequence[Mapping[str, Any]]) -> list[Sign]:
    """The signs of stored facts, averaged over the runs that have them."""
    found = []
    for names, rule in (
        (PREFERRED, pairs.preferred_before),
        (LATER, pairs.variance_after_first_turn),
    ):
        stored = [next((s[name] for name in names if name in s), None) for s in summaries]
        known = [float(value) for value in stored if value is not None]
        if known:
            found.append(rule(fmean(known)))
    early = stopped_early(summaries)
    return [*found, *([early] if early is not None else [])]
