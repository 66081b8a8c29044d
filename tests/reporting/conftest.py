"""Small studies with known figures, and texts that try to do harm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tratree_cli.display.blocks import Branch, Comparison, Lane, Outline, Turn
from tratree_cli.evaluation.artifact import Budget, Descriptor, Evaluation
from tratree_cli.evaluation.metrics import summarise_results
from tratree_cli.evaluation.results import EpisodeResult
from tratree_cli.reporting.build_report import build_report
from tratree_cli.reporting.document import ReportDocument, Section
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.reporting.tables.tree import tree_table

HOSTILE = (
    "<script>fetch('//evil')</script><img src=x onerror=alert(1)>\"'>"
    '</style></title><a href="javascript:alert(2)">x</a> [red]bold[/red] '
    "\x1b[31mred\x1b]0;title\x07 \u202egnitir\u202c `tick` | pipe $x$ \\input{passwd} %"
)

Maker = Callable[..., EvaluationRow]


def evaluated(
    method: str,
    scores: Sequence[float],
    *,
    seed: int | None = 0,
    environment: str = "webshop",
    split: str = "test",
    label: str = "",
    **fields: object,
) -> EvaluationRow:
    """An evaluation with one greedy episode per score; tasks are t0, t1, ..."""
    results = tuple(
        EpisodeResult(
            f"t{i}",
            "shoes" if i % 2 else "shirts",
            0,
            0,
            score,
            score > 0,
            3,
            0,
            "done",
            (0.0, score / 2, score),
        )
        for i, score in enumerate(scores)
    )
    descriptor = Descriptor(
        label=label or method,
        method=method,
        environment=environment,
        split=split,
        seed=seed,
        budget=Budget(160, 1200, 60),
        **fields,  # type: ignore[arg-type]
    )
    metrics = summarise_results(results, resamples=200)
    return EvaluationRow(
        Evaluation(descriptor, metrics, results),
        ref=f"evaluation:{method}{seed}",
        command=f"tratree eval {method}",
    )


def report_of(rows: Sequence[EvaluationRow], *, with_paper: bool = False) -> ReportDocument:
    """The report over rows that no store knows."""
    return build_report(ReportData(tuple(rows), with_paper=with_paper))


def study(seeds: int = 3, tasks: int = 20, protocol: str = "") -> list[EvaluationRow]:
    """All methods of the quick report over some seeds; better methods get more tasks right."""
    share = {
        "expert": 0.9,
        "random": 0.05,
        "sft-weak": 0.35,
        "sft-strong": 0.5,
        "tree-dpo": 0.6,
        "mcts": 0.75,
        "unstructured-dpo": 0.55,
        "ceiling": 0.7,
    }
    found = []
    for method, right in share.items():
        for seed in range(seeds):
            solved = round(right * tasks) + (seed - 1 if seeds > 1 else 0)
            found.append(
                evaluated(
                    method, [float(i < solved) for i in range(tasks)], seed=seed, protocol=protocol
                )
            )
    return found


@pytest.fixture
def make() -> Maker:
    return evaluated


@pytest.fixture
def make_study() -> Callable[..., list[EvaluationRow]]:
    return study


@pytest.fixture
def hostile() -> str:
    return HOSTILE


@pytest.fixture
def hostile_report() -> ReportDocument:
    """A report in which every text that can come from outside is hostile."""
    tree = Outline(
        "tree-1",
        HOSTILE,
        Branch(
            HOSTILE,
            HOSTILE,
            0.4,
            6,
            best=True,
            divergence=True,
            children=(Branch(HOSTILE, HOSTILE, 1.0, 2),),
        ),
        notes=(HOSTILE,),
    )
    case = Comparison(
        "case",
        HOSTILE,
        HOSTILE,
        (
            Lane(HOSTILE, (Turn(HOSTILE, HOSTILE, HOSTILE, 0.5, True),), HOSTILE),
            Lane("SFT strong", (Turn("search[shoes]", score=0.0),), "reward 0.00"),
        ),
    )
    evaluations = [
        evaluated(
            HOSTILE,
            [0.0, 1.0, 0.5],
            label=HOSTILE,
            environment=HOSTILE,
            split=HOSTILE,
            warnings=(HOSTILE,),
        ),
        evaluated("sft-strong", [0.5, 1.0, 0.0], environment=HOSTILE, split=HOSTILE),
        evaluated("mcts", [0.5, 1.0, 1.0], environment=HOSTILE, split=HOSTILE),
    ]
    report = build_report(
        ReportData(tuple(evaluations), with_paper=True), title=HOSTILE, subtitle=HOSTILE
    )
    facts = replace(tree_table(HOSTILE, {HOSTILE: HOSTILE, "nodes": 3}), notes=(HOSTILE,))
    sections = (
        *report.sections,
        Section("tree", HOSTILE, blocks=(facts, tree)),
        Section(HOSTILE, HOSTILE, (HOSTILE,), (case,)),
    )
    return replace(report, sections=sections, next_step=HOSTILE)
