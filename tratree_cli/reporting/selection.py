"""Which cohorts belong in a main table: no sweep's cells, one family, one weak model.

Everything that was evaluated can be in one report; a main table must not silently mix a run with
β = 0.5 or another base model into the comparison it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tratree_cli.evaluation import methods
from tratree_cli.reporting.cohorts import Cohort

_TITLES = {"webshop": "WebShop", "scienceworld": "ScienceWorld", "alfworld": "ALFWorld"}


@dataclass(frozen=True)
class Place:
    """An environment's split; ``title`` names the split where some environment has several."""

    environment: str
    split: str
    title: str

    def holds(self, group: Cohort) -> bool:
        """Whether the cohort was evaluated here."""
        descriptor = group.descriptor
        return (descriptor.environment, descriptor.split) == (self.environment, self.split)


def places(groups: Sequence[Cohort]) -> tuple[Place, ...]:
    """The splits on which these cohorts were evaluated, in order of appearance."""
    found = dict.fromkeys((g.descriptor.environment, g.descriptor.split) for g in groups)
    several = len(found) > len({environment for environment, _ in found})
    return tuple(
        Place(environment, split, _title(environment, split if several else ""))
        for environment, split in found
    )


def place_of(group: Cohort, groups: Sequence[Cohort]) -> Place:
    """Where ``group``, one of ``groups``, was evaluated, titled as among all of them."""
    return next(place for place in places(groups) if place.holds(group))


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
    own = [group for group in groups if not group.descriptor.varied]
    main: dict[str, tuple[str, str]] = {}
    for environment in dict.fromkeys(group.descriptor.environment for group in own):
        here = [group for group in own if group.descriptor.environment == environment]
        baselines = [g.descriptor.family for g in here if g.method == methods.BASELINE]
        family = _main(baselines) or _main([g.descriptor.family for g in here])
        main[environment] = (family, _main([g.descriptor.weak for g in here]))
    # Where the recipe itself was not evaluated, nothing is known to be beside the point.
    anything = ("", "")
    return tuple(
        group for group in groups if _of(group, *main.get(group.descriptor.environment, anything))
    )


def _of(group: Cohort, family: str, weak: str) -> bool:
    descriptor = group.descriptor
    of_family = not family or descriptor.family in ("", family)
    return of_family and (not weak or descriptor.weak in ("", weak))


def _main(names: Sequence[str]) -> str:
    return next((name for name in names if name), "")


def place_name(environment: str) -> str:
    """An environment as people write it."""
    return _TITLES.get(environment, environment or "all")


def _title(environment: str, split: str) -> str:
    name = place_name(environment)
    return f"{name} {split}" if split else name
