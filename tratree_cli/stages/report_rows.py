"""The rows of a report: what each evaluation is an evaluation of, told by how it was made.

Method, seed, models, data budget and the settings that studies vary are read from the lineage in
the store, never from what a command happened to know: parameters are keyed, so they cannot lie.
A study's own report says which settings it varied; for evaluations that were handed in, a setting
counts as varied where it differs from the recipe's own or, if no row has that, from the most usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config, from_dict, load_recipe
from tratree_cli.errors import InputError
from tratree_cli.stages import lineage

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.evaluation.artifact import Descriptor
    from tratree_cli.evaluation.report import Evaluated

SHOWN = ("explore.m", "dpo.beta", "mcts.rollouts", "demos.tasks")
"""Settings that every row carries where its method has them (Table 3, Fig. 4, weak quality)."""

KEYED: dict[str, tuple[str, tuple[str, ...]]] = {
    "demos.tasks": ("demos", ("tasks",)),
    "sft.epochs": ("sft", ("sft", "epochs")),
    "sft.learning_rate": ("sft", ("sft", "learning_rate")),
    "explore.m": ("explore", ("m",)),
    "explore.tasks": ("explore", ("tasks",)),
    "explore.temperature": ("explore", ("temperature",)),
    "tree.merge": ("build-tree", ("merge",)),
    "tree.threshold": ("build-tree", ("threshold",)),
    "pairs.min_gap": ("mine-pairs", ("min_gap",)),
    "pairs.per_task": ("mine-pairs", ("per_task",)),
    "pairs.select": ("mine-pairs", ("select",)),
    "mcts.rollouts": ("mcts", ("rollouts",)),
    "mcts.gamma": ("mcts", ("gamma",)),
    "mcts.select": ("mcts", ("select",)),
    "dpo.beta": ("train-strong", ("dpo", "beta")),
    "dpo.epochs": ("train-strong", ("dpo", "epochs")),
    "dpo.learning_rate": ("train-strong", ("dpo", "learning_rate")),
    "eval.tasks": ("eval", ("tasks",)),
    "eval.samples": ("eval", ("samples",)),
    "eval.temperature": ("eval", ("temperature",)),
}
"""Setting → the stage that keys it, and where in its parameters."""

NO_STRONG = ("expert", "random", "sft-weak")
NO_WEAK = ("expert", "random", "sft-strong", "best-of-n", "eto", "ceiling")


@dataclass(frozen=True)
class MadeFrom:
    """One row of the report: which method, its evaluation, and the model evaluated (if one was).

    ``varied`` is None where nobody said what was varied (evaluations that were handed in).
    """

    method: str
    evaluation: Entry
    policy: Entry | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    varied: tuple[str, ...] | None = None

    def record(self) -> dict[str, Any]:
        """The row as it is written beside the report."""
        return {
            "method": self.method,
            "evaluation": self.evaluation.recipe,
            "policy": self.policy.recipe if self.policy else None,
            "settings": dict(self.settings),
            "varied": None if self.varied is None else list(self.varied),
        }


def method_of(store: Store, evaluation: Entry) -> str:
    """The method behind an evaluation that was handed in: told by how its policy was made."""
    policies = lineage.sources(store, evaluation, "policy")
    if not policies:
        return str(evaluation.document["params"]["policies"][0])
    policy = policies[0]
    if policy.stage == "train-strong":
        return str(policy.document["params"]["method"])
    label = str(policy.provenance.get("label", policy.stage))
    if label == "SFT strong model":
        best_of = int(evaluation.document["params"].get("best_of", 1)) > 1
        return "best-of-n" if best_of else "sft-strong"
    return "sft-weak" if label == "SFT weak model" else label


def evaluated(store: Store, row: MadeFrom, *, timed: bool) -> Evaluated:
    """The row as the report's tables want it; ``timed`` adds recorded seconds."""
    from tratree_cli.evaluation.artifact import Budget, read_evaluation
    from tratree_cli.evaluation.methods import title
    from tratree_cli.evaluation.report import Evaluated

    entry, policy = row.evaluation, row.policy
    read = read_evaluation(entry.path)
    maker = policy or entry
    models = maker.provenance["config"]["models"]
    descriptor = replace(
        read.descriptor,
        label=title(row.method),
        method=row.method,
        family="" if row.method in NO_STRONG else models["strong"],
        weak="" if row.method in NO_WEAK else models["weak"],
        seed=policy.document["params"].get("seed") if policy else None,
        budget=lineage.budget(store, policy) if policy else Budget(),
        parameters={**_keyed(store, row), **row.settings},
        varied=row.varied or (),
        warnings=(*read.descriptor.warnings, *(_remarks(policy) if policy else ())),
    )
    made = [entry, *([policy] if policy else [])]
    return Evaluated(
        replace(read, descriptor=descriptor),
        ref=entry.ref,
        seconds=lineage.stage_seconds(store, made) if timed else {},
        effort=lineage.effort(store, made, timed=timed),
        inputs=(policy.ref,) if policy else (),
        command=_command(row),
    )


def settle(rows: Sequence[Evaluated], made: Sequence[MadeFrom]) -> list[tuple[Evaluated, MadeFrom]]:
    """Decide for every row which of its settings are varied, and drop those that never differ."""
    descriptors = [row.evaluation.descriptor for row in rows]
    names = {name for one in descriptors for name in one.parameters}
    differing = {name for name in names if len(_values(descriptors, name)) > 1}
    explicit = {name for row in made for name in row.settings}
    kept = {*SHOWN, *differing, *explicit}
    home = {name: _home(descriptors, made, name) for name in differing}
    settled = []
    for row, source in zip(rows, made, strict=True):
        own = row.evaluation.descriptor
        varied = source.varied
        if varied is None:
            varied = tuple(
                n for n in sorted(differing) if n in own.parameters and own.parameters[n] != home[n]
            )
        parameters = {n: v for n, v in sorted(own.parameters.items()) if n in kept}
        descriptor = replace(own, parameters=parameters, varied=varied)
        evaluation = replace(row.evaluation, descriptor=descriptor)
        settled.append((replace(row, evaluation=evaluation), source))
    return settled


def newest(rows: Sequence[tuple[Evaluated, MadeFrom]]) -> tuple[list[Evaluated], tuple[str, ...]]:
    """One evaluation for each description and seed: the newest; a sentence if others are left out.

    Only evaluations that were handed in can collide; a study's cells differ by construction.
    """
    chosen: dict[Any, tuple[Evaluated, MadeFrom]] = {}
    for row, source in rows:
        key = _description(row.evaluation.descriptor)
        before = chosen.get(key)
        if before is None or source.evaluation.created > before[1].evaluation.created:
            chosen[key] = (row, source)
    left = len({source.evaluation.recipe for _, source in rows}) - len(
        {source.evaluation.recipe for _, source in chosen.values()}
    )
    remarks: tuple[str, ...] = ()
    if left > 0:
        older = "1 older evaluation is" if left == 1 else f"{left} older evaluations are"
        remarks = (
            f"{older} left out: the same policy, seed and settings were evaluated again since.",
        )
    return [row for row, _ in chosen.values()], remarks


def _description(descriptor: Descriptor) -> Any:
    return (
        descriptor.environment,
        descriptor.split,
        descriptor.family,
        descriptor.weak,
        descriptor.method,
        descriptor.best_of,
        descriptor.seed,
        repr(sorted(descriptor.parameters.items())),
    )


def _keyed(store: Store, row: MadeFrom) -> dict[str, Any]:
    """The settings in the lineage of a row; one that several ancestors disagree on is left out."""
    found: dict[str, list[Any]] = {}
    entries = [row.evaluation, *([row.policy] if row.policy else [])]
    for ancestor in lineage.ancestors(store, entries):
        params = ancestor.document.get("params", {})
        for name, (stage, path) in KEYED.items():
            if ancestor.stage == stage and (value := _at(params, path)) is not None:
                found.setdefault(name, []).append(value)
    if row.method == "best-of-n":
        for name in ("eval.samples", "eval.temperature"):
            found.pop(name, None)
    return {name: values[0] for name, values in found.items() if values == values[:1] * len(values)}


def _at(params: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = params
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _values(descriptors: Sequence[Descriptor], name: str) -> list[Any]:
    found: list[Any] = []
    for one in descriptors:
        if name in one.parameters and one.parameters[name] not in found:
            found.append(one.parameters[name])
    return found


def _home(descriptors: Sequence[Descriptor], made: Sequence[MadeFrom], name: str) -> Any:
    """The main value of a setting: the recipe's own where some row has it, else the most usual."""
    values = [one.parameters[name] for one in descriptors if name in one.parameters]
    section, _, key = name.partition(".")
    for source in made:
        own = _recipe(source.evaluation)
        if own is not None and (value := getattr(getattr(own, section), key)) in values:
            return value
    return max(values, key=values.count)


def _recipe(entry: Entry) -> Config | None:
    """The recipe that an artifact was made with, as it is shipped; None where it is gone."""
    config = entry.provenance["config"]
    try:
        return load_recipe(str(config["recipe"]), str(config["env"]["name"]))
    except InputError:
        return None


def _command(row: MadeFrom) -> str:
    """What a person types to make this row's evaluation again."""
    maker = row.policy or row.evaluation
    config = row.evaluation.provenance["config"]
    words = [f"tratree report --recipe {config['recipe']} --env {config['env']['name']}"]
    seed = maker.document["params"].get("seed")
    words += [f"--seed {seed}"] if seed else []
    words += [f"--methods {row.method}", *_assignments(row, maker)]
    return " ".join(words)


def _assignments(row: MadeFrom, maker: Entry) -> list[str]:
    """``--set`` for every parameter in which the row differs from its recipe."""
    own = _recipe(row.evaluation)
    if own is None:
        return []
    shipped = own.to_dict()
    # How the model was made counts over how a shared evaluation happened to be asked for.
    asked = from_dict(maker.provenance["config"], "").to_dict()
    asked["eval"] = from_dict(row.evaluation.provenance["config"], "").to_dict()["eval"]
    words = []
    for section, values in asked.items():
        if not isinstance(values, Mapping) or section == "report":
            continue
        for key, value in values.items():
            if value != shipped[section][key]:
                words.append(f"--set {section}.{key}={_typed(value)}")
    return words


def _typed(value: Any) -> str:
    import shlex

    if isinstance(value, Mapping):
        inner = ", ".join(f"{key} = {_typed(one)}" for key, one in value.items())
        return shlex.quote("{ " + inner + " }")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return shlex.quote(text)


def _remarks(policy: Entry) -> list[str]:
    """What a reader must know about how the policy was made."""
    remarks = [str(text) for text in policy.provenance.get("warnings", [])]
    if policy.stage == "train-strong" and "base" in policy.document.get("models", {}):
        remarks.append("it was started from the base model, not from its SFT")
    return remarks
