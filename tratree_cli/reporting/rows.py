"""The rows of a report: what each evaluation is an evaluation of, told by how it was made.

Method, seed, models, data budget and the settings that studies vary are read from the lineage in
the store, never from what a command happened to know: parameters are keyed, so they cannot lie.
A study's own report says which settings it varied; for evaluations that were handed in, a setting
counts as varied where it differs from the recipe's own or, if no row has that, from the most usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from tratree_cli.config import Config, from_dict, load_recipe
from tratree_cli.errors import InputError
from tratree_cli.evaluation.methods import METHODS
from tratree_cli.reporting import lineage
from tratree_cli.reporting.cohorts import Run, cohorts
from tratree_cli.reporting.row_settings import SHOWN, differing_settings, keyed_settings
from tratree_cli.reporting.selection import main_cohorts

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.evaluation.artifact import Descriptor
    from tratree_cli.reporting.build_report import Evaluated

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


Told: TypeAlias = "tuple[Evaluated, MadeFrom]"
"""A row as the report's tables want it, and what it was made from."""


def environment_of(entry: Entry) -> str:
    """The environment that an artifact was made for."""
    return str(entry.provenance["config"]["env"]["name"])


def policies_of(store: Store, evaluation: Entry, models: Sequence[Entry]) -> list[Entry]:
    """Every policy that this evaluation is one of: all ``models`` whose object it evaluated.

    Usually one; several where training ended in equal bytes, as in the failure-safe case.
    """
    from tratree_store.keys import input_digests

    digests = input_digests(evaluation.document).get("policy", ())
    maker = lineage.sources(store, evaluation, "policy")
    twins = [entry for entry in models if entry.object in digests]
    found = {entry.recipe: entry for entry in [*maker, *twins[::-1]]}
    return list(found.values())


def method_of(store: Store, evaluation: Entry, policy: Entry | None = None) -> str:
    """The method behind an evaluation that was handed in: told by how its policy was made."""
    if policy is None:
        policy = next(iter(lineage.sources(store, evaluation, "policy")), None)
    if policy is None:
        return str(evaluation.document["params"]["policies"][0])
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
    from tratree_cli.reporting.build_report import Evaluated

    entry, policy = row.evaluation, row.policy
    read, made = read_evaluation(entry.path), _made_from(store, row)
    config = _asked_for(store, row).provenance["config"]
    models = config["models"]
    descriptor = replace(
        read.descriptor,
        label=title(row.method),
        method=row.method,
        family="" if row.method in NO_STRONG else models["strong"],
        weak="" if row.method in NO_WEAK else models["weak"],
        seed=policy.document["params"].get("seed") if policy else None,
        budget=lineage.budget(store, policy) if policy else Budget(),
        parameters={**keyed_settings(row.method, made, config), **row.settings},
        varied=row.varied or (),
        warnings=(*read.descriptor.warnings, *(_remarks(policy) if policy else ())),
    )
    return Evaluated(
        replace(read, descriptor=descriptor),
        ref=entry.ref,
        seconds=lineage.stage_seconds(made) if timed else {},
        effort=lineage.effort(made, timed=timed),
        inputs=(policy.ref,) if policy else (),
        command=_command(row),
    )


def _asked_for(store: Store, row: MadeFrom) -> Entry:
    """The artifact whose configuration says what this row was meant to be.

    One training may serve two questions (a stronger weak model, and exploration by the strong one),
    so the evaluation knows best, unless it was made for another policy with equal bytes.
    """
    if row.policy is None:
        return row.evaluation
    made_for = next(iter(lineage.sources(store, row.evaluation, "policy")), row.policy)
    return row.evaluation if made_for.recipe == row.policy.recipe else row.policy


def settle(
    rows: Sequence[Evaluated], made: Sequence[MadeFrom], store: Store | None = None
) -> list[Told]:
    """Decide for every row which of its settings are varied, and drop those that never differ.

    Environments have recipes of their own, and dev tasks are not test tasks: only rows of one
    environment and split are compared.
    """
    if store is not None:
        rows = _told_apart(store, rows, made)
    together: dict[tuple[str, str], list[int]] = {}
    for index, row in enumerate(rows):
        one = row.evaluation.descriptor
        together.setdefault((one.environment, one.split), []).append(index)
    settled: dict[int, Told] = {}
    for members in together.values():
        pairs = _settled([rows[i] for i in members], [made[i] for i in members])
        settled |= zip(members, pairs, strict=True)
    return [settled[index] for index in range(len(rows))]


def _settled(rows: Sequence[Evaluated], made: Sequence[MadeFrom]) -> list[Told]:
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


def _told_apart(
    store: Store, rows: Sequence[Evaluated], made: Sequence[MadeFrom]
) -> list[Evaluated]:
    """Rows that look alike but were not made alike get the settings in which they differ."""
    alike: dict[Any, list[int]] = {}
    for index, row in enumerate(rows):
        alike.setdefault(_description(row.evaluation.descriptor), []).append(index)
    told = list(rows)
    for members in alike.values():
        # The same policy, evaluated again in the same way, is settled by ``newest``.
        if len({made[index].evaluation.recipe for index in members}) < 2:
            continue
        lineages = [_made_from(store, made[index]) for index in members]
        for index, more in zip(members, differing_settings(lineages), strict=True):
            own = told[index].evaluation
            parameters = {**more, **own.descriptor.parameters}
            descriptor = replace(own.descriptor, parameters=parameters)
            told[index] = replace(told[index], evaluation=replace(own, descriptor=descriptor))
    return told


def _made_from(store: Store, row: MadeFrom) -> list[Entry]:
    """The evaluation, and its policy with everything below that.

    Not what the evaluation itself was first made from: two policies with equal bytes share one
    evaluation, and the other's way is not this row's.
    """
    if row.policy is None:
        return lineage.ancestors(store, [row.evaluation])
    return [row.evaluation, *lineage.ancestors(store, [row.policy])]


def newest(rows: Sequence[Told]) -> tuple[list[Told], tuple[str, ...]]:
    """One evaluation for each description and seed: the newest; a sentence if others are left out.

    Only evaluations that were handed in can collide; a study's cells differ by construction.
    """
    chosen: dict[Any, Told] = {}
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
    return list(chosen.values()), remarks


def main_rows(rows: Sequence[Told]) -> dict[str, list[MadeFrom]]:
    """By environment: the rows of the recipe's own settings and of the main base models.

    What is shown of the trained policies themselves (curves, pairs, a case study) is of these: a
    mean over swept cells, or over environments, would be a figure of nothing.
    """
    groups = cohorts([Run(row.evaluation) for row, _ in rows])
    main = {id(run.evaluation) for group in main_cohorts(groups) for run in group.runs}
    found: dict[str, list[MadeFrom]] = {}
    for row, source in rows:
        if id(row.evaluation) in main:
            found.setdefault(row.evaluation.descriptor.environment, []).append(source)
    return found


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
        value = getattr(getattr(own, section, None), key, None)
        if value is not None and value in values:
            return value
    return max(values, key=values.count)


def _recipe(entry: Entry) -> Config | None:
    """The recipe that an artifact was made with, as it is shipped; None where it is gone."""
    config = entry.provenance["config"]
    return _shipped(str(config["recipe"]), str(config["env"]["name"]))


@cache
def _shipped(name: str, environment: str) -> Config | None:
    try:
        return load_recipe(name, environment)
    except InputError:
        return None


def _command(row: MadeFrom) -> str:
    """What a person types to make this row's evaluation again."""
    maker = row.policy or row.evaluation
    config = row.evaluation.provenance["config"]
    # A policy of one's own is no method that a report could pull.
    command, option = ("report", "methods") if row.method in METHODS else ("eval", "policy")
    words = [f"tratree {command} --recipe {config['recipe']} --env {config['env']['name']}"]
    seed, own = maker.document["params"].get("seed"), _recipe(row.evaluation)
    words += [f"--seed {seed}"] if seed is not None and (own is None or seed != own.seed) else []
    words += [f"--{option} {_typed(row.method)}", *_assignments(row, maker)]
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
