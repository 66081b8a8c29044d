"""The settings behind a row of a report, read from the parameters that its lineage is keyed by.

Settings that studies usually vary are looked for by name. Two rows that these names do not tell
apart, although their policies were made in different ways, get every parameter in which their
lineages differ: a table must not show one of them and silently drop the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tratree_cli.methods.registry import is_method
from tratree_cli.methods.registry import method as method_named
from tratree_cli.reporting.lineage import SFT_STAGES

if TYPE_CHECKING:
    from tratree_store import Entry

SHOWN = ("explore.m", "dpo.beta", "mcts.rollouts", "demos.limit")
"""Settings that every row carries where its method has them (Table 3, Fig. 4, weak quality)."""

KEYED: dict[str, tuple[str, tuple[str, ...]]] = {
    "demos.limit": ("demos", ("tasks",)),
    "sft.epochs": ("sft", ("sft", "epochs")),
    "sft.learning_rate": ("sft", ("sft", "learning_rate")),
    "explore.m": ("explore", ("m",)),
    "explore.limit": ("explore", ("tasks",)),
    "explore.temperature": ("explore", ("temperature",)),
    "tree.merge": ("build-tree", ("merge",)),
    "tree.threshold": ("build-tree", ("threshold",)),
    "pairs.min_gap": ("mine-pairs", ("min_gap",)),
    "pairs.per_task": ("mine-pairs", ("per_task",)),
    "pairs.select": ("mine-pairs", ("select",)),
    "mcts.rollouts": ("mcts", ("rollouts",)),
    "mcts.gamma": ("mcts", ("gamma",)),
    "mcts.select": ("mcts", ("select",)),
    "mcts.min_walks": ("mcts", ("min_walks",)),
    "train.demo_share": ("train-strong", ("demo_share",)),
    "dpo.beta": ("train-strong", ("dpo", "beta")),
    "dpo.epochs": ("train-strong", ("dpo", "epochs")),
    "dpo.learning_rate": ("train-strong", ("dpo", "learning_rate")),
    "eval.limit": ("eval", ("tasks",)),
    "eval.samples": ("eval", ("samples",)),
    "eval.temperature": ("eval", ("temperature",)),
}
"""Setting → the stage that keys it, and where in its parameters."""


def keyed_settings(
    method: str, entries: Sequence[Entry], config: Mapping[str, Any]
) -> dict[str, Any]:
    """The named settings of these artifacts; one that they disagree on is left out.

    Whose exploration it was stands in no parameter; the ``config`` that asked for it says so.
    """
    record = method_named(method) if is_method(method) else None
    settings: dict[str, list[Any]] = {}
    for ancestor in entries:
        params = ancestor.document.get("params", {})
        for name, (stage, path) in KEYED.items():
            if _setting_stage(ancestor) == stage and (value := _at(params, path)) is not None:
                settings.setdefault(name, []).append(value)
        if ancestor.stage == "train-strong":
            started = "base" if "base" in ancestor.document.get("models", {}) else "sft"
            settings.setdefault("train.init", []).append(started)
        if ancestor.stage == "explore" and not (record and record.own_exploration):
            settings.setdefault("explore.explorer", []).append(_explorer(ancestor, config))
    for name in record.fixed if record else ():
        settings.pop(name, None)
    return {
        name: values[0] for name, values in settings.items() if values == values[:1] * len(values)
    }


def _setting_stage(entry: Entry) -> str:
    """The stage whose settings these are; SFT of a chosen length has those of SFT."""
    return "sft" if entry.stage in SFT_STAGES else entry.stage


def differing_settings(
    lineages: Sequence[Sequence[Entry]],
) -> list[dict[str, str | int | float | bool]]:
    """For each of several lineages, the parameters in which they are not all alike."""
    flat = [_flat(entries) for entries in lineages]
    names = sorted({name for settings in flat for name in settings})
    differing = [name for name in names if len({repr(row.get(name)) for row in flat}) > 1]
    return [{name: _plain(row[name]) for name in differing if name in row} for row in flat]


def _explorer(rollouts: Entry, config: Mapping[str, Any]) -> str:
    """Whose exploration it is: a role of the recipe, or the policies that were named instead."""
    policies = rollouts.document.get("params", {}).get("policies", ["model"])
    if set(policies) != {"model"}:
        return ", ".join(map(str, policies))
    return str(config.get("explore", {}).get("explorer", "weak"))


def _flat(entries: Sequence[Entry]) -> dict[str, Any]:
    """Every parameter of these artifacts as section.key; what several disagree on becomes a list.

    Seeds, of training and of the rows' order, are left out: they tell the runs of one row apart,
    not one row from another.
    """
    flat: dict[str, list[Any]] = {}
    for entry in entries:
        for path, value in _leaves(entry.document.get("params", {}), ()):
            if path[-1] in ("seed", "data_seed"):
                continue
            steps = path if len(path) > 1 else (entry.stage, *path)
            values = flat.setdefault(".".join(steps[-2:]), [])
            if value not in values:
                values.append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in flat.items()}


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif path:
        yield path, value


def _plain(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _at(params: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = params
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
