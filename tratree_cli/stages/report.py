"""The report: a table over evaluations, and a look at the trees they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config, from_dict, load_recipe
from tratree_cli.stages import lineage, methods
from tratree_cli.stages.graph import Job, Node, Result, Stage

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.evaluation.document import Block, ReportDocument, Section
    from tratree_cli.evaluation.report import Evaluated

ROWS = "rows.json"
"""Which recipes stand behind each row: digests, so that the lineage is exact."""

CASE_STUDY = ("sft-weak", "sft-strong", "tree-dpo", "mcts")
"""The policies that Fig. 5 puts side by side."""

STAGE = Stage("report", 1, "report", "tratree_cli.stages.report:run")


def node(config: Config, *, evaluations: Sequence[Entry] = (), store: Store | None = None) -> Node:
    """The recipe's methods, pulled; or exactly the evaluations of ``store`` that are given."""
    if evaluations:
        assert store is not None
        return Node(
            stage=STAGE,
            label="report",
            config=config,
            params={"methods": [method_of(store, entry) for entry in evaluations]},
            inputs={"evaluation": tuple(evaluations)},
        )
    names = list(config.report.methods)
    return Node(
        stage=STAGE,
        label="report",
        config=config,
        params={"methods": names},
        inputs={
            "evaluation": tuple(methods.evaluation(config, name) for name in names),
            # The policies themselves, because two methods may end in one object (the failure-safe
            # case) and an evaluation knows its policy by the object alone.
            "policy": tuple(
                policy
                for name in names
                if isinstance(policy := methods.method(name).policy(config), Node)
            ),
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
    rows = _rows(store, job)
    document = assemble(store, rows, job.inputs.get("tree", ()), timed=False)
    made_from = [
        {
            "method": row.method,
            "evaluation": row.evaluation.recipe,
            "policy": row.policy.recipe if row.policy else None,
        }
        for row in rows
    ]
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    (job.out / "report.json").write_bytes(orjson.dumps(document.to_json(), option=options))
    (job.out / ROWS).write_bytes(orjson.dumps(made_from, option=options))
    return Result({"evaluations": len(rows)}, warnings=document.warnings)


@dataclass(frozen=True)
class MadeFrom:
    """One row of the report: which method, its evaluation, and the model evaluated (if one was)."""

    method: str
    evaluation: Entry
    policy: Entry | None


def _rows(store: Store, job: Job) -> list[MadeFrom]:
    policies = iter(job.inputs.get("policy", ()))
    pulled = "policy" in job.inputs
    rows = []
    for name, evaluation in zip(job.params["methods"], job.inputs["evaluation"], strict=True):
        policy = None
        if "policy" in evaluation.document.get("inputs", {}):
            made = lineage.sources(store, evaluation, "policy")
            policy = next(policies) if pulled else next(iter(made), None)
        rows.append(MadeFrom(name, evaluation, policy))
    return rows


def document_of(
    store: Store, report: Entry, *, drawn: bool = False, with_paper: bool = False
) -> ReportDocument:
    """The document of a report with what the store recorded of seconds.

    ``drawn`` adds the most informative trees, some of the pairs found there and the case study of
    Fig. 5 (they cost reading the artifacts), ``with_paper`` the paper's printed figures.

    Where what it was made from was collected since, the document is as it was written, without.
    """
    import orjson

    from tratree_cli.evaluation.document import document_from

    rows = []
    for row in orjson.loads((report.path / ROWS).read_bytes()):
        evaluations = store.records_of(row["evaluation"])
        policies = store.records_of(row["policy"]) if row["policy"] else [None]
        if not evaluations or not policies:
            return document_from(orjson.loads((report.path / "report.json").read_bytes()))
        rows.append(MadeFrom(row["method"], evaluations[0], policies[0]))
    trees = lineage.sources(store, report, "tree")
    return assemble(store, rows, trees, timed=True, drawn=drawn, with_paper=with_paper)


def assemble(
    store: Store,
    rows: Sequence[MadeFrom],
    trees: Sequence[Entry],
    *,
    timed: bool,
    drawn: bool = False,
    with_paper: bool = False,
) -> ReportDocument:
    """The document over these rows; ``timed`` adds what the store recorded of seconds."""
    from tratree_cli.display.summaries import tree_facts
    from tratree_cli.evaluation.report import TreeSummary, build_report

    summary = None
    if trees:
        figures = tree_facts(trees[0].summary)
        blocks = _drawings(trees[0]) if drawn else ()
        summary = TreeSummary("Trajectory trees of the weak model", figures, blocks)
    first = rows[0].evaluation.provenance["config"]
    return build_report(
        [_evaluated(store, row, timed=timed) for row in rows],
        summary,
        title=f"Weak-to-strong on {first['env']['name']}",
        subtitle=f"recipe {first['recipe']}, split {first['eval']['split']}",
        next_step="tratree show tree@latest",
        with_paper=with_paper,
        extra=_case_study(rows) if drawn else (),
    )


def _drawings(tree: Entry) -> tuple[Block, ...]:
    """The most informative trees, and the widest pairs mined from them."""
    from tratree_cli.display.tree_outline import informative_outlines, pair_comparison
    from tratree_cli.formats.pairs import render_pairs
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.trees.mcts import search
    from tratree_cli.trees.pairs import mine

    read = read_tree(tree.path)
    widest = sorted(
        render_pairs(mine(read.forest, per_task=1), read.rollouts), key=lambda p: -p.gap
    )
    return (
        *informative_outlines(read, 3, search(read.forest)),
        *(pair_comparison(pair, f"pair-{n}") for n, pair in enumerate(widest[:2], start=1)),
    )


def _case_study(rows: Sequence[MadeFrom]) -> tuple[Section, ...]:
    """Fig. 5: the trained policies on the task on which they differ most."""
    from tratree_cli.display.case_study import compare_on_task, most_telling_task
    from tratree_cli.evaluation.document import Section
    from tratree_cli.evaluation.methods import title
    from tratree_cli.formats.rollouts import read_rollouts

    shown = [row for row in rows if row.method in CASE_STUDY]
    policies = [(title(row.method), read_rollouts(row.evaluation.path)) for row in shown]
    task = most_telling_task(policies) if len(policies) > 1 else None
    if task is None:
        return ()
    return (Section("case", "Case study", blocks=(compare_on_task(task, policies),)),)


def _evaluated(store: Store, row: MadeFrom, *, timed: bool) -> Evaluated:
    from tratree_cli.evaluation.artifact import Budget, read_evaluation
    from tratree_cli.evaluation.methods import title
    from tratree_cli.evaluation.report import Evaluated

    entry, policy = row.evaluation, row.policy
    read = read_evaluation(entry.path)
    config = entry.provenance["config"]
    descriptor = replace(
        read.descriptor,
        label=title(row.method),
        method=row.method,
        family=config["models"]["strong"],
        weak=config["models"]["weak"],
        seed=policy.document["params"].get("seed") if policy else None,
        budget=lineage.budget(store, policy) if policy else Budget(),
        **_sweep(policy or entry),
        warnings=(*read.descriptor.warnings, *(_remarks(policy) if policy else ())),
    )
    seconds = lineage.stage_seconds(store, [entry, *([policy] if policy else [])]) if timed else {}
    return Evaluated(
        replace(read, descriptor=descriptor),
        ref=entry.ref,
        seconds=seconds,
        inputs=(policy.ref,) if policy else (),
        command=_command(row),
    )


def _command(row: MadeFrom) -> str:
    """What a person types to make this row's evaluation again."""
    config = row.evaluation.provenance["config"]
    recipe = f"--recipe {config['recipe']} --env {config['env']['name']}"
    seed = f" --seed {config['seed']}" if config["seed"] else ""
    return f"tratree report {recipe}{seed} --methods {row.method}"


SWEPT = ("explore.m", "dpo.beta", "mcts.rollouts", "demos.tasks")
"""Parameters that studies vary; a row in which one is not its recipe's own is marked as such."""


def _sweep(entry: Entry) -> dict[str, Any]:
    """The swept parameters of a policy, and which of them its recipe does not have."""
    config = from_dict(entry.provenance["config"], f"the recipe of {entry.ref[:24]}")
    values, varied = {}, []
    own = load_recipe(config.recipe)
    for name in SWEPT:
        section, _, key = name.partition(".")
        values[name] = getattr(getattr(config, section), key)
        if values[name] != getattr(getattr(own, section), key):
            varied.append(name)
    return {"parameters": values, "varied": tuple(varied)}


def _remarks(policy: Entry) -> list[str]:
    """What a reader must know about how the policy was made."""
    remarks = [str(text) for text in policy.provenance.get("warnings", [])]
    if policy.stage == "train-strong" and "base" in policy.document.get("models", {}):
        remarks.append("it was started from the base model, not from its SFT")
    return remarks
