"""The report: a table over evaluations, and a look at the trees they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.stages import lineage, methods
from tratree_cli.stages.graph import Job, Node, Result, Stage

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.evaluation.document import ReportDocument
    from tratree_cli.evaluation.report import Evaluated

STAGE = Stage("report", 1, "report", "tratree_cli.stages.report:run")


def node(config: Config, *, evaluations: Sequence[Entry] = (), store: Store | None = None) -> Node:
    """The recipe's methods, pulled; or exactly the evaluations that are given (with their store)."""
    if evaluations:
        assert store is not None
        return Node(
            stage=STAGE,
            label="report",
            config=config,
            params={"methods": [method_of(store, entry) for entry in evaluations]},
            inputs={"evaluation": tuple(evaluations)},
        )
    return Node(
        stage=STAGE,
        label="report",
        config=config,
        params={"methods": list(config.report.methods)},
        inputs={
            "evaluation": tuple(methods.evaluation(config, name) for name in config.report.methods),
            "tree": (methods.tree(config),),
        },
    )


def method_of(store: Store, evaluation: Entry) -> str:
    """The method behind an evaluation that was handed in: told by how its policy was made."""
    policies = lineage.sources(store, evaluation, "policy")
    if not policies:
        return str(evaluation.document["params"]["policies"][0])
    policy = policies[0]
    if policy.stage == "train-strong":
        return str(policy.document["params"]["method"])
    strong = str(policy.provenance.get("label", "")).startswith("SFT strong")
    best_of = int(evaluation.document["params"].get("best_of", 1)) > 1
    return "best-of-n" if strong and best_of else ("sft-strong" if strong else "sft-weak")


def run(job: Job) -> Result:
    import orjson
    from tratree_store import Store

    # The store is only asked what the inputs were made from; seconds are left out of the file,
    # because no two runs take equally long and equal recipes must give equal bytes.
    store = Store(job.store_root)
    document = assemble(
        store,
        job.inputs["evaluation"],
        job.params["methods"],
        job.inputs.get("tree", ()),
        timed=False,
    )
    (job.out / "report.json").write_bytes(
        orjson.dumps(document.to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    )
    return Result({"evaluations": len(job.inputs["evaluation"])}, warnings=document.warnings)


def document_of(store: Store, report: Entry) -> ReportDocument:
    """The document of a report with what the store recorded of seconds.

    Evaluations that were collected since leave the document as it was written, without seconds.
    """
    import orjson

    from tratree_cli.evaluation.document import document_from

    evaluations = lineage.sources(store, report, "evaluation")
    names = report.document["params"]["methods"]
    if len(evaluations) == len(names):
        trees = lineage.sources(store, report, "tree")
        return assemble(store, evaluations, names, trees, timed=True)
    return document_from(orjson.loads((report.path / "report.json").read_bytes()))


def assemble(
    store: Store,
    evaluations: Sequence[Entry],
    names: Sequence[str],
    trees: Sequence[Entry],
    *,
    timed: bool,
) -> ReportDocument:
    """The document over these evaluations; ``timed`` adds what the store recorded of seconds."""
    from tratree_cli.evaluation.report import TreeSummary, build_report

    evaluated = [
        _evaluated(store, entry, name, timed=timed)
        for entry, name in zip(evaluations, names, strict=True)
    ]
    summary = None
    if trees:
        figures = {
            key.replace("_", " "): value
            for key, value in trees[0].summary.items()
            if isinstance(value, int | float | str)
        }
        summary = TreeSummary(title="Trajectory trees of the weak model", figures=figures)
    first = evaluations[0].provenance["config"]
    return build_report(
        evaluated,
        summary,
        title=f"Weak-to-strong on {first['env']['name']}",
        subtitle=f"recipe {first['recipe']}, split {first['eval']['split']}",
        next_step="tratree show tree@latest",
    )


def _evaluated(store: Store, entry: Entry, method: str, *, timed: bool) -> Evaluated:
    from tratree_cli.evaluation.artifact import Budget, read_evaluation
    from tratree_cli.evaluation.methods import title
    from tratree_cli.evaluation.report import Evaluated

    read = read_evaluation(entry.path)
    config = entry.provenance["config"]
    policies = lineage.sources(store, entry, "policy")
    descriptor = replace(
        read.descriptor,
        label=title(method),
        method=method,
        family=config["models"]["strong"],
        weak=config["models"]["weak"],
        seed=policies[0].document["params"].get("seed") if policies else None,
        budget=lineage.budget(store, policies[0]) if policies else Budget(),
        warnings=(*read.descriptor.warnings, *_remarks(policies)),
    )
    return Evaluated(
        replace(read, descriptor=descriptor),
        ref=entry.ref,
        seconds=lineage.stage_seconds(store, entry) if timed else {},
        inputs=tuple(policy.ref for policy in policies),
    )


def _remarks(policies: Sequence[Entry]) -> list[str]:
    remarks = []
    for policy in policies:
        label = policy.provenance.get("label", "model")
        remarks += [f"{label}: {text}" for text in policy.provenance.get("warnings", [])]
        if policy.stage == "train-strong" and "base" in policy.document.get("models", {}):
            remarks.append(f"{label} was started from the base model, not from its SFT")
    return remarks
