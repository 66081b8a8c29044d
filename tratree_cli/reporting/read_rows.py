"""Rows from the store: method, seed, models, data budget and settings as the lineage has them.

They are read from what artifacts are keyed by and from what their making recorded, never from what
a command happened to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tratree_cli.evaluation.artifact import Budget, read_evaluation
from tratree_cli.evaluation.turns import with_turns
from tratree_cli.methods.registry import is_method, method, methods, title
from tratree_cli.reporting import lineage
from tratree_cli.reporting.row_commands import command
from tratree_cli.reporting.row_settings import keyed_settings
from tratree_cli.reporting.rows import EvaluationRow, RowLineage

if TYPE_CHECKING:
    from tratree_store import Entry, Store


def read_row(store: Store, row: RowLineage) -> EvaluationRow:
    """The row as the report's tables want it."""
    entry, policy = row.evaluation, row.policy
    read = read_evaluation(entry.path)
    evaluation = replace(read, results=with_turns(read.results, entry.path))
    config = _configured_by(store, row).provenance["config"]
    # What the study says counts: links of a chain may share an evaluation.
    of_study = {role: row.settings.get(f"models.{role}") for role in ("strong", "weak")}
    models = {role: of_study[role] or config["models"][role] for role in of_study}
    descriptor = replace(
        evaluation.descriptor,
        label=title(row.method),
        method=row.method,
        family=models["strong"] if _names_strong(row.method) else "",
        weak=models["weak"] if _names_weak(row.method) else "",
        seed=policy.document["params"].get("seed") if policy else None,
        data_seed=policy.document["params"].get("data_seed") if policy else None,
        budget=lineage.budget(store, policy) if policy else Budget(),
        parameters={
            **keyed_settings(row.method, lineage.behind_row(store, row), config),
            **row.settings,
        },
        varied=row.varied or (),
        warnings=(*evaluation.descriptor.warnings, *(_remarks(policy) if policy else ())),
    )
    return EvaluationRow(
        replace(evaluation, descriptor=descriptor),
        lineage=row,
        ref=entry.ref,
        command=command(row),
        inputs=(policy.ref,) if policy else (),
    )


def policies_of(store: Store, evaluation: Entry, models: Sequence[Entry]) -> list[Entry]:
    """Every policy that this evaluation is one of: all ``models`` whose object it evaluated.

    Usually one; several where training ended in equal bytes, as in the failure-safe case. A model
    that was only tried for its length is known by the one that was chosen, if that is among them.
    """
    digests = evaluation.inputs.get("policy", ())
    makers = lineage.inputs(store, evaluation, "policy")
    equal = [entry for entry in models if entry.object in digests]
    if equal:
        makers = [entry for entry in makers if not entry.provenance.get("part_of")]
    return list({entry.recipe: entry for entry in [*makers, *equal[::-1]]}.values())


def method_of(store: Store, evaluation: Entry, policy: Entry | None = None) -> str:
    """The method behind an evaluation: read from how its policy was made.

    A trained model's parameters name it; an SFT model's recorded role tells which SFT method it is;
    a scripted policy is its own name. What other programs publish may record its ``method``; what
    records none goes by its label.
    """
    if policy is None:
        policy = next(iter(lineage.inputs(store, evaluation, "policy")), None)
    if policy is None:
        return str(evaluation.document["params"]["policies"][0])
    if policy.stage == "train-strong":
        return str(policy.document["params"]["method"])
    if policy.stage == lineage.ROUNDS_STAGE:
        return f"{policy.document['params']['method']}/rounds"
    if (role := lineage.sft_role(policy)) is None:
        recorded = policy.provenance.get("method") or policy.provenance.get("label", policy.stage)
        return str(recorded)
    sampled = int(evaluation.document["params"].get("best_of", 1)) > 1
    fitting = [m.name for m in methods() if m.supervised and m.role == role]
    several = [name for name in fitting if (method(name).best_of > 1) is sampled]
    return (several or fitting)[0]


def _names_strong(name: str) -> bool:
    """Whether rows of this policy name the strong base model: all but other models' do."""
    return not is_method(name) or method(name).role == "strong"


def _names_weak(name: str) -> bool:
    """Whether rows of this policy name a weak model; of unknown policies nobody can say."""
    return not is_method(name) or method(name).uses_weak


def _configured_by(store: Store, row: RowLineage) -> Entry:
    """The artifact whose configuration says what this row was meant to be.

    One training may serve two questions (a stronger weak model, and exploration by the strong one),
    so the evaluation knows best, unless it was made for another policy with equal bytes.
    """
    if row.policy is None:
        return row.evaluation
    made_for = next(iter(lineage.inputs(store, row.evaluation, "policy")), row.policy)
    return row.evaluation if made_for.recipe == row.policy.recipe else row.policy


def _remarks(policy: Entry) -> list[str]:
    """What a reader must know about how the policy was made."""
    remarks = [str(text) for text in policy.provenance.get("warnings", [])]
    if policy.stage == "train-strong" and "base" in policy.document.get("models", {}):
        remarks.append("it was started from the base model, not from its SFT")
    return remarks
