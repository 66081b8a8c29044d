"""Names that registries hold, for help texts and for completion in the shell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tratree_cli.agents.registry import POLICIES
from tratree_cli.errors import InputError
from tratree_cli.methods.pair_rule import PAIR_RULES
from tratree_cli.methods.registry import METHODS, derived_controls, methods, trained_methods
from tratree_cli.registry import Registry


def study_methods() -> list[str]:
    """The methods that a study can make, in the order of tables."""
    return _in_order(lambda: [record.name for record in methods()], METHODS)


def study_controls() -> list[str]:
    """The controls that are variants of these methods."""
    return _in_order(
        lambda: [name for record in methods() for name in derived_controls(record)], METHODS
    )


def strong_methods() -> list[str]:
    """The methods that ``train-strong`` trains."""
    return _in_order(trained_methods, METHODS)


def pair_rules() -> list[str]:
    return _in_order(lambda: [rule.name for rule in PAIR_RULES.records()], PAIR_RULES)


def policies() -> list[str]:
    """How policies that are no models are written."""

    def forms() -> list[str]:
        return [record.form for record in POLICIES.records() if record.kind != "engine"]

    return _in_order(forms, POLICIES)


def listed(names: list[str]) -> str:
    return ", ".join(names)


def complete_method(incomplete: str) -> list[str]:
    known = [*strong_methods(), *study_controls()]
    return [name for name in known if name.startswith(incomplete)]


def complete_methods(incomplete: str) -> list[str]:
    """The last of several names that are separated by commas."""
    before, comma, last = incomplete.rpartition(",")
    named = before.split(",")
    every = [*study_methods(), *study_controls()]
    known = every if comma else ["all", *every]
    return [before + comma + name for name in known if name.startswith(last) and name not in named]


def complete_rule(incomplete: str) -> list[str]:
    return [name for name in pair_rules() if name.startswith(incomplete)]


def complete_policy(incomplete: str) -> list[str]:
    forms = [form.partition(":") for form in policies()]
    return [name + colon for name, colon, _ in forms if name.startswith(incomplete)]


def _in_order(names: Callable[[], list[str]], registry: Registry[Any]) -> list[str]:
    """``names()``; where a package's record cannot be loaded, what its metadata say.

    A help page must not fail because of a plug-in that the command does not use.
    """
    try:
        return names()
    except InputError:
        return registry.names()
