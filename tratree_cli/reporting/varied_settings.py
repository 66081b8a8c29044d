"""Which settings of a report's rows are varied, and which rows stand for the recipe itself.

A study's own report says which settings it varied; for evaluations that were handed in, a setting
counts as varied where it differs from the recipe's own or, if no row has that, from the most usual.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from tratree_cli.evaluation.artifact import Descriptor
from tratree_cli.methods.registry import is_method, method
from tratree_cli.reporting import lineage
from tratree_cli.reporting.row_commands import beside_recipe, shipped_recipe
from tratree_cli.reporting.row_settings import SHOWN, differing_settings
from tratree_cli.reporting.rows import EvaluationRow, RowLineage

if TYPE_CHECKING:
    from tratree_store import Store


def infer_varied_settings(
    rows: Sequence[EvaluationRow], store: Store | None = None
) -> list[EvaluationRow]:
    """Decide for every row which of its settings are varied, and drop those that never differ.

    Environments have recipes of their own, and dev tasks are not test tasks: only rows of one
    environment and split are compared. With a ``store``, rows that look alike although they were
    made in different ways get the settings in which they differ.
    """
    if store is not None:
        rows = _with_differences(store, rows)
    together: dict[tuple[str, str], list[int]] = {}
    for index, row in enumerate(rows):
        together.setdefault((row.descriptor.environment, row.descriptor.task_set), []).append(index)
    inferred: dict[int, EvaluationRow] = {}
    for members in together.values():
        inferred |= zip(members, _inferred([rows[index] for index in members]), strict=True)
    return [inferred[index] for index in range(len(rows))]


def latest_per_cell(
    rows: Sequence[EvaluationRow],
) -> tuple[list[EvaluationRow], tuple[str, ...]]:
    """One evaluation for each description and seed: the newest; a sentence if others are left out.

    Only evaluations that were handed in can collide; a study's cells differ by construction.
    """
    latest: dict[Hashable, EvaluationRow] = {}
    for row in rows:
        key = _description(row.descriptor)
        known = latest.get(key)
        if known is None or _origin(row).evaluation.created > _origin(known).evaluation.created:
            latest[key] = row
    recipes = {_origin(row).evaluation.recipe for row in rows}
    older = len(recipes - {_origin(row).evaluation.recipe for row in latest.values()})
    remarks: tuple[str, ...] = ()
    if older:
        subject = "1 older evaluation is" if older == 1 else f"{older} older evaluations are"
        remarks = (
            f"{subject} left out: the same policy, seed and settings were evaluated again since.",
        )
    return list(latest.values()), remarks


def _inferred(rows: Sequence[EvaluationRow]) -> list[EvaluationRow]:
    descriptors = [row.descriptor for row in rows]
    names = {name for descriptor in descriptors for name in descriptor.parameters}
    differing = {name for name in names if len(_values(descriptors, name)) > 1}
    explicit = {name for row in rows for name in _origin(row).settings}
    kept = {*SHOWN, *differing, *explicit}
    main = {
        (name, role): _main_value([row for row in rows if _role(row, name) == role], name)
        for name in differing
        for role in {_role(row, name) for row in rows if name in row.descriptor.parameters}
    }
    inferred = []
    for row in rows:
        parameters = row.descriptor.parameters
        varied = _origin(row).varied
        if varied is None:
            varied = tuple(
                name
                for name in sorted(differing)
                if name in parameters and parameters[name] != main[name, _role(row, name)]
            )
            if varied and _trained_as_shipped(_origin(row)):
                varied = tuple(name for name in varied if name.startswith("eval."))
        shown = {name: value for name, value in sorted(parameters.items()) if name in kept}
        inferred.append(row.described(parameters=shown, varied=varied))
    return inferred


def _with_differences(store: Store, rows: Sequence[EvaluationRow]) -> list[EvaluationRow]:
    """Rows that look alike but were not made alike get the settings in which they differ."""
    alike: dict[Hashable, list[int]] = {}
    for index, row in enumerate(rows):
        alike.setdefault(_description(row.descriptor), []).append(index)
    distinct = list(rows)
    for members in alike.values():
        # The same policy, evaluated again in the same way, is settled by ``latest_per_cell``.
        if len({_origin(rows[index]).evaluation.recipe for index in members}) < 2:
            continue
        lineages = [lineage.behind_row(store, _origin(rows[index])) for index in members]
        for index, differences in zip(members, differing_settings(lineages), strict=True):
            row = distinct[index]
            distinct[index] = row.described(parameters={**differences, **row.descriptor.parameters})
    return distinct


def _description(descriptor: Descriptor) -> Hashable:
    return (
        descriptor.environment,
        descriptor.task_set,
        descriptor.family,
        descriptor.weak,
        descriptor.method,
        descriptor.best_of,
        descriptor.seed,
        descriptor.data_seed,
        repr(sorted(descriptor.parameters.items())),
    )


def _values(descriptors: Sequence[Descriptor], name: str) -> list[Any]:
    values: list[Any] = []
    for descriptor in descriptors:
        if name in descriptor.parameters and descriptor.parameters[name] not in values:
            values.append(descriptor.parameters[name])
    return values


def _main_value(rows: Sequence[EvaluationRow], name: str) -> Any:
    """The main value of a setting: the recipe's own where some row has it, else the most usual."""
    values = [row.descriptor.parameters[name] for row in rows if name in row.descriptor.parameters]
    section, _, key = name.partition(".")
    for row in rows:
        recipe = shipped_recipe(_origin(row).evaluation)
        value = getattr(getattr(recipe, section, None), key, None)
        if value is not None and value in values:
            return value
    return max(values, key=values.count)


def _role(row: EvaluationRow, setting: str) -> str:
    """Whose setting it is: SFT has some for the weak and some for the strong model."""
    name = row.descriptor.method
    return method(name).role if setting.startswith("sft.") and is_method(name) else ""


def _trained_as_shipped(row: RowLineage) -> bool:
    """Whether the row differs from its recipe in nothing but what is played and an order of rows.

    Methods may have settings of their own in a recipe (``[pairs.rules.NAME]``, ``[joint]``), so
    that its rows differ from each other.
    """
    beside = beside_recipe(row, row.policy or row.evaluation)
    return beside is not None and not any(
        name != "train.data_seed" and not name.startswith("eval.") for name in beside
    )


def _origin(row: EvaluationRow) -> RowLineage:
    assert row.lineage is not None, "a row of a store has its lineage"
    return row.lineage
