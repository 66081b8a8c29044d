"""The report: tables over evaluations, and a look at the trees they came from.

Its artifact holds the document and which recipes stand behind each row. Seconds are left out of it,
because no two runs take equally long and equal recipes must give equal bytes; ``document_of`` reads
them from the store whenever the report is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config
from tratree_cli.evaluation.methods import title
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.reporting import lineage, study, theory
from tratree_cli.reporting.rows import (
    MadeFrom,
    Told,
    environment_of,
    evaluated,
    main_rows,
    method_of,
    newest,
    policies_of,
    settle,
)
from tratree_cli.stages import methods, preference_accuracy

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.display.blocks import Block
    from tratree_cli.reporting.document import ReportDocument, Section

ROWS = "rows.json"
"""Which recipes stand behind each row: digests, so that the lineage is exact."""

STAGE = Stage("report", 4, "report", "tratree_cli.reporting.report_stage:run")


def of_evaluations(
    config: Config, evaluations: Sequence[Entry], store: Store, *, all_policies: bool = False
) -> Node:
    """The report over exactly these evaluations of ``store``.

    Policies with equal bytes share an evaluation; ``all_policies`` gives each of them its row.
    """
    from tratree_store.keys import input_digests

    from tratree_cli.reporting.lineage_cache import Remembering

    store = Remembering(store)
    models = list(store.entries(kind="model")) if all_policies else []
    asked = {
        digest: entry
        for entry in store.entries(stage=preference_accuracy.STAGE.name)
        for digest in input_digests(entry.document)["policy"]
    }
    rows: list[dict[str, Any]] = []
    inputs: dict[str, list[Entry]] = {"evaluation": [], "policy": [], "agreement": []}
    for entry in evaluations:
        digests = input_digests(entry.document).get("policy", ())
        found = next((asked[digest] for digest in digests if digest in asked), None)
        policies: list[Entry | None] = []
        if all_policies:
            policies += policies_of(store, entry, models)
        for policy in policies or [None]:
            method = method_of(store, entry, policy)
            rows.append(
                {"method": method, "pulled": policy is not None, "asked": found is not None}
            )
            inputs["evaluation"].append(entry)
            inputs["policy"] += [policy] if policy is not None else []
            inputs["agreement"] += [found] if found is not None else []
    inputs["tree"] = list(_trees_behind(store, evaluations))
    given = {role: tuple(entries) for role, entries in inputs.items() if entries}
    return Node(stage=STAGE, label="report", config=config, params={"rows": rows}, inputs=given)


def _trees_behind(store: Store, evaluations: Sequence[Entry]) -> tuple[Entry, ...]:
    """In each environment, the forest that the first of these policies learned from."""
    found: dict[str, Entry] = {}
    for evaluation in evaluations:
        environment = environment_of(evaluation)
        if environment not in found:
            behind = lineage.ancestors(store, [evaluation])
            trees = (one for one in behind if one.kind == "tree")
            if (tree := next(trees, None)) is not None:
                found[environment] = tree
    return tuple(found.values())


def of_cells(config: Config, cells: Sequence[study.Cell], lost: Collection[str] = ()) -> Node:
    """The report over the cells of a study, with everything below them.

    ``lost`` are the keys of nodes that cannot be had. Cells that need them have no row and are
    named instead: a seed whose training failed must not be left out silently.
    """
    kept = [cell for cell in cells if cell.evaluation.key not in lost]
    measured = [_agreement(config, cell, lost) for cell in kept]
    rows = [
        {
            "method": cell.method,
            "pulled": cell.policy is not None,
            "settings": dict(cell.settings),
            "varied": list(cell.varied),
            "asked": asked is not None,
        }
        for cell, asked in zip(kept, measured, strict=True)
    ]
    names = study.labels(cells) if lost else {}
    missing = [names[cell.evaluation.key] for cell in cells if cell.evaluation.key in lost]
    tree = methods.tree(config)
    inputs: dict[str, Sequence[Node]] = {
        "evaluation": tuple(cell.evaluation for cell in kept),
        # The policies themselves, because two methods may end in one object (the failure-safe
        # case) and an evaluation knows its policy by the object alone.
        "policy": tuple(cell.policy for cell in kept if cell.policy is not None),
        "tree": () if tree.key in lost else (tree,),
    }
    if config.report.held_out:
        inputs["agreement"] = tuple(asked for asked in measured if asked is not None)
    return Node(
        stage=STAGE,
        label="report",
        config=config,
        params={"rows": rows, **({"missing": missing} if missing else {})},
        inputs=inputs,
    )


def _agreement(config: Config, cell: study.Cell, lost: Collection[str]) -> Node | None:
    """The cell's policy asked for its preferences (section 3.3), where it is and can be."""
    if not config.report.held_out or cell.policy is None:
        return None
    if cell.varied or cell.method in preference_accuracy.NOT_MEASURED:
        return None
    node = preference_accuracy.node(cell.evaluation.config, cell.policy, title(cell.method))
    return None if node.key in lost else node


def run(job: Job) -> Result:
    import orjson
    from tratree_store import Store

    from tratree_cli.reporting.lineage_cache import Remembering

    # The store is only asked what the inputs were made from.
    store = Remembering(Store(job.store_root))
    rows = _rows(store, job)
    told = _told(store, rows, timed=False)
    document = assemble(
        store,
        told,
        job.inputs.get("tree", ()),
        extra=_theory(store, told, job),
        missing=job.params.get("missing", ()),
    )
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    (job.out / "report.json").write_bytes(orjson.dumps(document.to_json(), option=options))
    (job.out / ROWS).write_bytes(orjson.dumps([row.record() for row in rows], option=options))
    return Result({"evaluations": len(rows)}, warnings=document.warnings, said=False)


def _told(store: Store, rows: Sequence[MadeFrom], *, timed: bool) -> list[Told]:
    """What each row tells, and which of its settings are varied; ``timed`` adds seconds."""
    return settle([evaluated(store, row, timed=timed) for row in rows], rows, store)


def _theory(store: Store, told: Sequence[Told], job: Job) -> tuple[Section, ...]:
    """Section 3.3's tables; they stay in the artifact, because measuring them reads every tree."""
    from tratree_cli.reporting.document import Section

    measured = iter(job.inputs.get("agreement", ()))
    by_policy: dict[str, Entry] = {}
    for (_, row), given in zip(told, job.params["rows"], strict=True):
        entry = next(measured) if given.get("asked") else None
        if entry is not None and row.policy is not None:
            by_policy[row.policy.recipe] = entry
    tables = theory.blocks(store, told, by_policy, job.inputs.get("tree", ()))
    return (Section("theory", "What Theorem 1 rests on", blocks=tables),) if tables else ()


def _rows(store: Store, job: Job) -> list[MadeFrom]:
    policies = iter(job.inputs.get("policy", ()))
    rows = []
    for row, evaluation in zip(job.params["rows"], job.inputs["evaluation"], strict=True):
        policy = None
        if row["pulled"]:
            policy = next(policies)
        elif "policy" in evaluation.document.get("inputs", {}):
            policy = next(iter(lineage.sources(store, evaluation, "policy")), None)
        varied = row.get("varied")
        rows.append(
            MadeFrom(
                row["method"],
                evaluation,
                policy,
                row.get("settings", {}),
                None if varied is None else tuple(varied),
            )
        )
    return rows


def document_of(
    store: Store, report: Entry, *, drawn: bool = False, with_paper: bool = False
) -> ReportDocument:
    """The document of a report with what the store recorded of seconds.

    ``drawn`` adds the most informative trees, some of the pairs found there, the case study of
    Fig. 5 and the lineage (they cost reading the artifacts), ``with_paper`` the paper's printed
    figures.

    Where what it was made from was collected since, the document is as it was written, without.
    """
    import orjson

    from tratree_cli.reporting.document import document_from
    from tratree_cli.reporting.lineage_cache import Remembering

    store = Remembering(store)
    written = document_from(orjson.loads((report.path / "report.json").read_bytes()))
    rows = []
    for row in orjson.loads((report.path / ROWS).read_bytes()):
        evaluations = store.records_of(row["evaluation"])
        policies = store.records_of(row["policy"]) if row["policy"] else [None]
        if not evaluations or not policies:
            return written
        varied = row.get("varied")
        rows.append(
            MadeFrom(
                row["method"],
                evaluations[0],
                policies[0],
                row.get("settings", {}),
                None if varied is None else tuple(varied),
            )
        )
    trees = lineage.sources(store, report, "tree")
    kept = written.section("theory")
    return assemble(
        store,
        _told(store, rows, timed=True),
        trees,
        drawn=drawn,
        with_paper=with_paper,
        extra=() if kept is None else (kept,),
        missing=report.document["params"].get("missing", ()),
    )


def assemble(
    store: Store,
    told: Sequence[Told],
    trees: Sequence[Entry],
    *,
    drawn: bool = False,
    with_paper: bool = False,
    extra: Sequence[Section] = (),
    missing: Sequence[str] = (),
) -> ReportDocument:
    """The document over these rows; ``missing`` names the cells that could not be computed."""
    from dataclasses import replace

    from tratree_cli.display.summaries import tree_facts
    from tratree_cli.reporting.artifact_sections import (
        artifacts,
        by_environment,
        drawings,
        sections,
    )
    from tratree_cli.reporting.build_report import build_report, tree_table

    found, remarks = newest(told)
    rows, main = [row for _, row in told], main_rows(found)
    forests: dict[str, Sequence[Block]] = dict.fromkeys(main, ())
    for tree in trees:
        facts = tree_table("Trajectory trees of the weak model", tree_facts(tree.summary))
        forests[environment_of(tree)] = (facts, *(drawings(tree) if drawn else ()))
    title, subtitle = _heading(rows)
    document = build_report(
        [one for one, _ in found],
        by_environment(forests),
        title=title,
        subtitle=subtitle,
        next_step="tratree show tree@latest" if trees else "",
        with_paper=with_paper,
        extra=(*extra, *(sections(main) if drawn else ())),
    )
    return replace(
        document,
        warnings=(*_without(missing), *document.warnings, *remarks),
        lineage=artifacts(store, rows) if drawn else (),
    )


def _without(missing: Sequence[str]) -> tuple[str, ...]:
    if not missing:
        return ()
    return (f"not in this report, because a stage failed: {'; '.join(missing)}",)


def _heading(rows: Sequence[MadeFrom]) -> tuple[str, str]:
    """Title and subtitle: where, by which recipes, on which splits, with how many seeds."""
    from tratree_cli.reporting.selection import place_name

    configs = [row.evaluation.provenance["config"] for row in rows]
    where = dict.fromkeys(place_name(config["env"]["name"]) for config in configs)
    recipes = dict.fromkeys(str(config["recipe"]) for config in configs)
    splits = dict.fromkeys(str(row.evaluation.document["params"]["split"]) for row in rows)
    seeds = {row.policy.document["params"].get("seed") for row in rows if row.policy}
    parts = [
        f"recipe {', '.join(recipes)}",
        f"split {', '.join(splits)}",
        *([f"{len(seeds)} training seeds"] if len(seeds) > 1 else []),
    ]
    return f"Weak-to-strong on {', '.join(where)}", ", ".join(parts)
