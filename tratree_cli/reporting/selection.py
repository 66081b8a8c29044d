"""Which cohorts belong in a main table: no sweep's cells, one family, one weak model.

Everything that was evaluated can be in one report; a main table must not silently mix a run with
β = 0.5 or another base model into the comparison it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from tratree_cli.methods.registry import BASELINE
from tratree_cli.reporting.cohorts import Cohort, cohorts
from tratree_cli.reporting.rows import EvaluationRow

_TITLES = {"webshop": "WebShop", "scienceworld": "ScienceWorld", "alfworld": "ALFWorld"}


@dataclass(frozen=True)
class EvalSet:
    """An environment's split, under a protocol if ``split`` names one (``test (paper 1)``).

    ``title`` names it where some environment has several, and a protocol always.
    """

    environment: str
    split: str
    title: str

    def holds(self, group: Cohort) -> bool:
        """Whether the cohort was evaluated here."""
        descriptor = group.descriptor
        return (descriptor.environment, descriptor.task_set) == (self.environment, self.split)


def eval_sets(groups: Sequence[Cohort]) -> tuple[EvalSet, ...]:
    """The splits on which these cohorts were evaluated, in order of appearance."""
    pairs = dict.fromkeys((g.descriptor.environment, g.descriptor.task_set) for g in groups)
    several = len(pairs) > len({environment for environment, _ in pairs})
    under = {g.descriptor.task_set for g in groups if g.descriptor.protocol}
    return tuple(
        EvalSet(environment, split, _title(environment, split if several or split in under else ""))
        for environment, split in pairs
    )


def eval_set_of(group: Cohort, groups: Sequence[Cohort]) -> EvalSet:
    """Where ``group``, one of ``groups``, was evaluated, titled as among all of them."""
    return next(eval_set for eval_set in eval_sets(groups) if eval_set.holds(group))


def several_within(groups: Sequence[Cohort], name: Callable[[Cohort], str]) -> bool:
    """Whether some environment has several names: each has models of its own anyway."""
    named = {(group.descriptor.environment, name(group)) for group in groups if name(group)}
    return len(named) > len({environment for environment, _ in named})


def main_cohorts(groups: Sequence[Cohort]) -> tuple[Cohort, ...]:
    """The cohorts of the recipe itself, of its main strong family and its main weak model."""
    return tuple(group for group in of_main_models(groups) if not group.descriptor.varied)


def of_main_models(groups: Sequence[Cohort]) -> tuple[Cohort, ...]:
    """The cohorts of the main strong family and the main weak model, cells of a sweep included.

    The main ones are, in each environment, the baseline's family and the first weak model named:
    every environment has a recipe of its own. A cohort that names none (an expert, a random policy)
    belongs to every family.
    """
    main = main_models(groups)
    # Where the recipe itself was not evaluated, nothing is known to be beside the point.
    anything = ("", "")
    return tuple(
        group for group in groups if _of(group, *main.get(group.descriptor.environment, anything))
    )


def main_models(groups: Sequence[Cohort]) -> dict[str, tuple[str, str]]:
    """In each environment the main strong family and the main weak model, empty where unnamed."""
    own = [group for group in groups if not group.descriptor.varied]
    main: dict[str, tuple[str, str]] = {}
    for environment in dict.fromkeys(group.descriptor.environment for group in own):
        here = [group for group in own if group.descriptor.environment == environment]
        baselines = [g.descriptor.family for g in here if g.method == BASELINE]
        family = _main(baselines) or _main([g.descriptor.family for g in here])
        main[environment] = (family, _main([g.descriptor.weak for g in here]))
    return main


def main_rows(rows: Sequence[EvaluationRow]) -> dict[str, list[EvaluationRow]]:
    """By environment: the rows of the recipe's own settings and of the main base models.

    What is shown of the trained policies themselves (curves, pairs, a case study) is of these: a
    mean over swept cells, or over environments, would be a figure of nothing.
    """
    main = {id(row) for cohort in main_cohorts(cohorts(rows)) for row in cohort.runs}
    chosen: dict[str, list[EvaluationRow]] = {}
    for row in rows:
        if id(row) in main:
            chosen.setdefault(row.descriptor.environment, []).append(row)
    return chosen


def cohort_label(group: Cohort, groups: Sequence[Cohort]) -> str:
    """The policy's name with what tells it from its namesakes: environment, sweep, models."""
    descriptor = group.descriptor
    marks = [eval_set_of(group, groups).title] if len(eval_sets(groups)) > 1 else []
    marks += [f"{name}={descriptor.parameters.get(name)}" for name in descriptor.varied]
    for role in ("family", "weak"):
        model = attrgetter(f"descriptor.{role}")
        marks += [model(group)] if model(group) and several_within(groups, model) else []
    return f"{group.name} ({', '.join(marks)})" if marks else group.name


def _of(group: Cohort, family: str, weak: str) -> bool:
    descriptor = group.descriptor
    of_family = not family or descriptor.family in ("", family)
    return of_family and (not weak or descriptor.weak in ("", weak))


def _main(names: Sequence[str]) -> str:
    return next((name for name in names if name), "")


def environment_title(environment: str) -> str:
    """An environment as people write it."""
    return _TITLES.get(environment, environment or "all")


def _title(environment: str, split: str) -> str:
    name = environment_title(environment)
    return f"{name} {split}" if split else name
