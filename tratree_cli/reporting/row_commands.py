"""The line that a person types to make a row's evaluation again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config, from_dict, load_recipe
from tratree_cli.errors import InputError
from tratree_cli.methods.registry import is_method, method
from tratree_cli.reporting.rows import RowLineage
from tratree_cli.sections import SFT_ROLES

if TYPE_CHECKING:
    from tratree_store import Entry


def command(row: RowLineage) -> str:
    """What makes this row's evaluation again, with every parameter that is not its recipe's."""
    maker = row.policy or row.evaluation
    config = row.evaluation.provenance["config"]
    # A policy of one's own is no method that a report could pull.
    verb, option = ("report", "methods") if is_method(row.method) else ("eval", "policy")
    parts = [f"tratree {verb} --recipe {config['recipe']} --env {config['env']['name']}"]
    seed, recipe = maker.document["params"].get("seed"), shipped_recipe(row.evaluation)
    if seed is not None and (recipe is None or seed != recipe.seed):
        parts.append(f"--seed {seed}")
    parts.append(f"--{option} {_typed(row.method)}")
    if verb == "report" and method(row.method).controls:
        parts.append("--no-controls")
    parts += _assignments(row, maker)
    return " ".join(parts)


def shipped_recipe(entry: Entry) -> Config | None:
    """The recipe that an artifact was made with, as it is shipped; None where it is gone."""
    config = entry.provenance["config"]
    return _shipped(str(config["recipe"]), str(config["env"]["name"]))


@cache
def _shipped(name: str, environment: str) -> Config | None:
    try:
        return load_recipe(name, environment)
    except InputError:
        return None


def beside_recipe(row: RowLineage, maker: Entry) -> dict[str, Any] | None:
    """Every parameter in which the row differs from its recipe, by ``section.key``; None where the
    recipe is gone. ``maker`` is what the row's model was made by."""
    recipe = shipped_recipe(row.evaluation)
    if recipe is None:
        return None
    shipped = recipe.to_dict()
    # How the model was made counts over how a shared evaluation happened to be asked for.
    effective = from_dict(maker.provenance["config"], "").to_dict()
    for role in SFT_ROLES:
        # What the recipe says of one model and was taken back is said of it again.
        taken_back = {key: effective["sft"][key] for key in shipped["sft"][role]}
        effective["sft"][role] = {**taken_back, **effective["sft"][role]}
    effective["eval"] = from_dict(row.evaluation.provenance["config"], "").to_dict()["eval"]
    return {
        f"{section}.{key}": value
        for section, values in effective.items()
        if isinstance(values, Mapping) and section != "report"
        for key, value in values.items()
        if value != shipped[section][key]
    }


def _assignments(row: RowLineage, maker: Entry) -> list[str]:
    """``--set`` for every parameter in which the row differs from its recipe."""
    differing = beside_recipe(row, maker) or {}
    return [f"--set {name}={_typed(value)}" for name, value in differing.items()]


def _typed(value: Any) -> str:
    """A value as it is typed after ``=``; the command line reads it as TOML, or as a plain word."""
    if isinstance(value, Mapping):
        return shlex.quote(_toml(value))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return shlex.quote(text)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)  # TOML writes numbers, strings, lists and truth as JSON does
