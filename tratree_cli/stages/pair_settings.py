"""The section ``pairs`` as one pair rule reads it.

A study mines pairs by several rules with one recipe. What is to differ between them stands under
``pairs.rules.NAME``; a value that a rule would ignore is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.methods.pair_rule import FOR_EVERY_RULE, PairRule, pair_rule
from tratree_cli.sections import PairsSection
from tratree_cli.settings import overlay


def section_of(config: Config, rule: PairRule) -> PairsSection:
    """The section ``pairs`` as it is for one rule: with what ``pairs.rules.NAME`` sets.

    Raises ``InputError`` for a value that the rule would ignore.
    """
    for name, values in config.pairs.rules.items():
        pair_rule(name)
        if not isinstance(values, Mapping):
            raise InputError(f"pairs.rules.{name} must be values of pairs, not {values!r}")
        if without := {"rule", "rules", "parameters"} & set(values):
            raise InputError(f"pairs.rules.{name}.{min(without)}: it is no setting of one rule")
    place = f"pairs.rules.{rule.name}"
    own = config.pairs.rules.get(rule.name, {})
    if own.get("level") == "trajectory":
        # A number of turns that is said for all rules is not meant for one of whole trajectories.
        own = {"horizon": 0, **own}
    section = overlay(
        config.pairs,
        own,
        f"the pair rule {rule.name}",
        path=f"{place}.",
    )
    for name, default, value in _values(section):
        if value != default and ("horizon" if name == "level" else name) not in rule.reads:
            raise InputError(
                f"pair rule '{rule.name}' does not read pairs.{name}, which is {value!r}; leave it "
                f"at {default!r} for this rule alone (--set {place}.{name}={_toml(default)})"
            )
    return section


def _values(section: PairsSection) -> Iterator[tuple[str, Any, Any]]:
    """What means something for every rule: name, default and value."""
    defaults = PairsSection()
    for name in ("level", *FOR_EVERY_RULE):
        yield name, getattr(defaults, name), getattr(section, name)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}" or "''"


def horizon_of(section: PairsSection) -> tuple[int, bool]:
    """How many turns a continuation has (0: to the end), and whether it is there in full as well.

    Raises ``InputError`` for a number of turns at the level of whole trajectories.
    """
    level = section.level or ("step" if section.horizon else "trajectory")
    if level != "trajectory":
        return section.horizon or 1, level == "mixed"
    if section.horizon:
        raise InputError(
            f"pairs.horizon = {section.horizon} cuts continuations, and pairs.level = trajectory "
            "takes them to the end; choose the level step or mixed, or leave horizon at 0"
        )
    return 0, False
