"""The stage ``report``: tables and figures over evaluations, and what they were made from.

Its artifact holds the document as it is shown and, beside it, the recipes behind each policy.
Seconds, date and machine are left out, because they differ from run to run and equal recipes must
give equal bytes: ``document_of`` adds them from the store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from tratree_cli.config import Config
from tratree_cli.methods.registry import is_method, method, title
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.reporting import lineage, study
from tratree_cli.reporting.rows import RowLineage, environment_of
from tratree_cli.stages import method_graph, preference_accuracy

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.reporting.document import ReportDocument
    from tratree_cli.reporting.rows import EvaluationRow

DOCUMENT = "report.json"
POLICIES = "rows.json"
"""Each policy of the report with the recipes behind its runs, so that the lineage is exact."""


@dataclass(frozen=True)
class RowParameters:
    """One row: its method, and what is given for it beside its evaluation.

    ``explicit_policy``: its policy is an input of its own, because two methods may end in one
    object (the failure-safe case) and an evaluation knows its policy by the object alone.
    ``has_accuracy``: so is its policy's preference accuracy. ``settings`` and ``varied`` are what a
    study says of it; ``varied`` is None for an evaluation that was handed in.
    """

    method: str
    explicit_policy: bool
    has_accuracy: bool
    settings: Mapping[str, Any] | None = keyed_unless(None)
    varied: tuple[str, ...] | None = keyed_unless(None)


@dataclass(frozen=True)
class ReportParameters:
    """The rows in the order of the input ``evaluation``.

    ``with_paper`` sets the paper's printed figures beside one's own; ``missing`` names the cells of
    a study that failed.
    """

    rows: tuple[RowParameters, ...]
    with_paper: bool = keyed_unless(False, since=5)
    missing: tuple[str, ...] = keyed_unless(())


STAGE = Stage("report", 9, "report", "tratree_cli.reporting.report_stage:run", ReportParameters)


def of_evaluations(
    config: Config,
    evaluations: Sequence[Entry],
    store: Store,
    *,
    all_policies: bool = False,
    with_paper: bool = False,
) -> Node:
    """The report over exactly these evaluations of ``store``.

    Policies with equal bytes share an evaluation; ``all_policies`` gives each of them its row.
    """
    from tratree_cli.reporting.cached_lineage import CachedLineage
    from tratree_cli.reporting.read_rows import method_of, policies_of

    store = CachedLineage(store)
    models: list[Entry] = []
    if all_policies:
        # A model that was only tried is known by the one that was chosen.
        made = store.entries(kind="model")
        models = [entry for entry in made if not entry.provenance.get("part_of")]
    accuracies: dict[str, Entry] = {}
    for entry in store.entries(stage=preference_accuracy.STAGE.name):
        for digest in entry.inputs["policy"]:
            accuracies.setdefault(digest, entry)  # the newest comes first
    rows: list[RowParameters] = []
    inputs: dict[str, list[Entry]] = {"evaluation": [], "policy": [], "agreement": []}
    for evaluation in evaluations:
        digests = evaluation.inputs.get("policy", ())
        accuracy = next((accuracies[d] for d in digests if d in accuracies), None)
        policies: list[Entry | None] = []
        if all_policies:
            policies += policies_of(store, evaluation, models)
        for policy in policies or [None]:
            rows.append(
                RowParameters(
                    method_of(store, evaluation, policy),
                    explicit_policy=policy is not None,
                    has_accuracy=accuracy is not None,
                )
            )
            inputs["evaluation"].append(evaluation)
            inputs["policy"] += [policy] if policy is not None else []
            inputs["agreement"] += [accuracy] if accuracy is not None else []
    inputs["tree"] = _trees_behind(store, evaluations)
    given = {role: tuple(entries) for role, entries in inputs.items() if entries}
    return Node(
        stage=STAGE,
        label="report",
        config=config,
        params=ReportParameters(tuple(rows), with_paper),
        inputs=given,
    )


def _trees_behind(store: Store, evaluations: Sequence[Entry]) -> list[Entry]:
    """In each environment, the forest that the first of these policies learned from."""
    trees: dict[str, Entry] = {}
    for evaluation in evaluations:
        environment = environment_of(evaluation)
        if environment not in trees:
            behind = lineage.ancestors(store, [evaluation])
            tree = next((entry for entry in behind if entry.kind == "tree"), None)
            if tree is not None:
                trees[environment] = tree
    return list(trees.values())


def of_cells(
    config: Config,
    cells: Sequence[study.StudyCell],
    lost: Collection[str] = (),
    *,
    with_paper: bool = False,
) -> Node:
    """The report over the cells of a study, with everything below them.

    ``lost`` are the keys of nodes that cannot be had. Cells that need them have no row and are
    named instead: a seed whose training failed must not be left out silently.
    """
    kept = [cell for cell in cells if cell.evaluation.key not in lost]
    accuracies = [_accuracy(config, cell, lost) for cell in kept]
    rows = tuple(
        RowParameters(
            cell.method,
            explicit_policy=cell.policy is not None,
            has_accuracy=accuracy is not None,
            settings=cell.settings,
            varied=cell.varied,
        )
        for cell, accuracy in zip(kept, accuracies, strict=True)
    )
    names = study.labels(cells) if lost else {}
    missing = tuple(names[cell.evaluation.key] for cell in cells if cell.evaluation.key in lost)
    tree = method_graph.tree(config)
    inputs: dict[str, Sequence[Node]] = {
        "evaluation": tuple(cell.evaluation for cell in kept),
        "policy": tuple(cell.policy for cell in kept if cell.policy is not None),
        "tree": () if tree.key in lost else (tree,),
    }
    if config.report.held_out:
        inputs["agreement"] = tuple(node for node in accuracies if node is not None)
    return Node(
        stage=STAGE,
        label="report",
        config=config,
        params=ReportParameters(rows, with_paper, missing),
        inputs=inputs,
    )


def _accuracy(config: Config, cell: study.StudyCell, lost: Collection[str]) -> Node | None:
    """The preference accuracy of the cell's policy (section 3.3), where it can be measured."""
    if not config.report.held_out or cell.policy is None or cell.varied:
        return None
    if is_method(cell.method) and not method(cell.method).theorem:
        return None
    node = preference_accuracy.node(
        cast(Config, cell.evaluation.config), cell.policy, title(cell.method)
    )
    return None if node.key in lost else node


def run(job: Job[ReportParameters]) -> Result:
    import orjson
    from tratree_store import Store

    from tratree_cli.reporting.build_report import build_report
    from tratree_cli.reporting.cached_lineage import CachedLineage
    from tratree_cli.reporting.cost import policy_records
    from tratree_cli.reporting.report_data import ReportData
    from tratree_cli.reporting.varied_settings import infer_varied_settings, latest_per_cell

    # The store is only asked what the inputs were made from.
    store = CachedLineage(Store(job.store_root))
    every_row = infer_varied_settings(_rows(store, job), store)
    rows, remarks = latest_per_cell(every_row)
    data = ReportData(
        tuple(rows),
        with_paper=job.params.with_paper,
        store=store,
        trees={environment_of(tree): tree for tree in job.inputs.get("tree", ())},
        accuracies=_accuracies(job, every_row),
    )
    heading, subtitle = _heading(rows)
    document = build_report(
        data,
        title=heading,
        subtitle=subtitle,
        warnings=_missing(job.params.missing),
        remarks=remarks,
    )
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    (job.out / DOCUMENT).write_bytes(orjson.dumps(document.to_json(), option=options))
    policies = policy_records(data.cohorts)
    (job.out / POLICIES).write_bytes(orjson.dumps(policies, option=options))
    return Result({"evaluations": len(every_row)}, warnings=document.warnings, said=False)


def document_of(store: Store, report: Entry) -> ReportDocument:
    """The document of a report, with what the store recorded of seconds, date and machine.

    Where what it was made from was collected since, the document is as it was written, without;
    so is one that an earlier version wrote.
    """
    import orjson

    from tratree_cli.reporting.cached_lineage import CachedLineage
    from tratree_cli.reporting.document import document_from
    from tratree_cli.reporting.origin import origin

    document = document_from(orjson.loads((report.path / DOCUMENT).read_bytes()))
    document = replace(document, origin=origin(store, report))
    policies = orjson.loads((report.path / POLICIES).read_bytes())
    if not all("runs" in policy for policy in policies):
        return document

    from tratree_cli.reporting.cost import recorded_costs, with_cost

    costs = recorded_costs(CachedLineage(store), policies)
    return document if costs is None else with_cost(document, costs)


def _rows(store: Store, job: Job[ReportParameters]) -> list[EvaluationRow]:
    from tratree_cli.reporting.read_rows import read_row

    policies = iter(job.inputs.get("policy", ()))
    rows = []
    for given, evaluation in zip(job.params.rows, job.inputs["evaluation"], strict=True):
        if given.explicit_policy:
            policy: Entry | None = next(policies)
        else:
            policy = next(iter(lineage.inputs(store, evaluation, "policy")), None)
        settings = given.settings or {}
        made_from = RowLineage(given.method, evaluation, policy, settings, given.varied)
        rows.append(read_row(store, made_from))
    return rows


def _accuracies(job: Job[ReportParameters], rows: Sequence[EvaluationRow]) -> dict[str, Entry]:
    """The measured preference accuracies by the recipe digest of their policy."""
    measured = iter(job.inputs.get("agreement", ()))
    accuracies: dict[str, Entry] = {}
    for given, row in zip(job.params.rows, rows, strict=True):
        accuracy = next(measured) if given.has_accuracy else None
        if accuracy is not None and row.lineage and row.lineage.policy:
            accuracies[row.lineage.policy.recipe] = accuracy
    return accuracies


def _missing(labels: Sequence[str]) -> tuple[str, ...]:
    if not labels:
        return ()
    return (f"not in this report, because a stage failed: {'; '.join(labels)}",)


def _heading(rows: Sequence[EvaluationRow]) -> tuple[str, str]:
    """Title and subtitle: where, by which recipes, on which splits, with how many seeds."""
    from tratree_cli.reporting.selection import environment_title

    configs = [
        row.lineage.evaluation.provenance["config"] for row in rows if row.lineage is not None
    ]
    where = dict.fromkeys(environment_title(config["env"]["name"]) for config in configs)
    recipes = dict.fromkeys(str(config["recipe"]) for config in configs)
    splits = dict.fromkeys(row.descriptor.task_set for row in rows)
    trained = [row.descriptor for row in rows if row.lineage and row.lineage.policy]
    seeds = {descriptor.seed for descriptor in trained}
    orders = {descriptor.data_seed for descriptor in trained} - {None}
    parts = [
        f"recipe {', '.join(recipes)}",
        f"split {', '.join(splits)}",
        *([f"{len(seeds)} training seeds"] if len(seeds) > 1 else []),
        *([f"{len(orders)} orders of rows a seed"] if len(orders) > 1 else []),
    ]
    return f"Weak-to-strong on {', '.join(where)}", ", ".join(parts)
