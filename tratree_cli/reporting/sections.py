"""The sections of a report, and the tables and figures of each: a new one is a line here.

Each is a file of its own under ``tables/`` or ``figures/`` with a function that takes the report's
data and returns its block, its blocks, or nothing where there is nothing to show. The tables of
seconds are listed in ``cost``, because they are added when a report is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from tratree_cli.display.blocks import Block
from tratree_cli.reporting import key_results
from tratree_cli.reporting.figures import (
    case_study,
    differences,
    gallery,
    outlines,
    reward_by_breadth,
    reward_by_step,
    rewards,
    rounds_curve,
    story,
    telling_tree,
    training_curves,
)
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.tables import (
    base_models,
    baseline_comparison,
    behaviour,
    budget,
    chain,
    controls,
    endings,
    informativeness,
    inherited,
    rounds,
    sampling,
    search_paths,
    sft_length,
    summary,
    sweep,
    table_1,
    table_3,
    table_5,
    task_types,
    theory,
    training_data,
    tree,
    warning_signs,
    weak_models,
)

Made: TypeAlias = "Block | Iterable[Block] | None"


@dataclass(frozen=True)
class SectionPlan:
    """A section's key and title, what makes its blocks in their order, and its sentences."""

    key: str
    title: str
    makers: tuple[Callable[[ReportData], Made], ...]
    sentences: Callable[[ReportData], tuple[str, ...]] | None = None

    def blocks(self, data: ReportData) -> tuple[Block, ...]:
        """All blocks that there is something to show in."""
        blocks: list[Block] = []
        for make in self.makers:
            made = make(data)
            if isinstance(made, Iterable):
                blocks += made
            elif made is not None:
                blocks.append(made)
        return tuple(blocks)


SECTIONS = (
    SectionPlan(
        "story",
        "What was found",
        (story.blocks, rewards.figures, telling_tree.blocks),
        key_results.verdict_sentences,
    ),
    SectionPlan("summary", "Results", (summary.tables,), key_results.sentences),
    SectionPlan("comparison", "Against the baseline", (baseline_comparison.tables,)),
    SectionPlan("controls", "Against the controls", (controls.tables,)),
    SectionPlan("rounds", "Rounds", (rounds.table, rounds_curve.figure)),
    SectionPlan("chain", "The chain", (chain.tables,)),
    SectionPlan(
        "figures",
        "Figures",
        (differences.figures, reward_by_step.figures, reward_by_breadth.figure),
    ),
    SectionPlan(
        "paper",
        "The paper's tables",
        (table_1.table, base_models.table, table_3.table, table_5.table, weak_models.table),
    ),
    SectionPlan("data", "What was learnt from", (training_data.table, inherited.tables)),
    SectionPlan("sweep", "Settings", (sweep.table,)),
    SectionPlan(
        "details",
        "Details",
        (behaviour.tables, warning_signs.tables, endings.table, task_types.tables, sampling.table),
    ),
    SectionPlan("cost", "Data and cost", (budget.table,)),
    SectionPlan("tree", "Trajectory tree", (tree.tables, search_paths.table)),
    SectionPlan("outlines", "More trees and pairs", (outlines.blocks,)),
    SectionPlan("theory", "What Theorem 1 rests on", (theory.table, informativeness.tables)),
    SectionPlan("training", "Training", (sft_length.table, training_curves.figures)),
    SectionPlan("case", "Case study", (case_study.blocks,)),
    SectionPlan("gallery", "Tasks", (gallery.blocks,)),
)
