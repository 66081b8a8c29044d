"""What a page shows beside the tables: trees, pairs, training curves, the case study, the lineage.

All of it costs reading artifacts, so it is made only for the formats that draw it, and never lies
in the report's own artifact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tratree_cli.evaluation.methods import BEST_OF_N, title
from tratree_cli.reporting import lineage

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.display.blocks import Block
    from tratree_cli.reporting.document import Artifact, Section
    from tratree_cli.reporting.rows import MadeFrom

CASE_STUDY = ("sft-weak", "sft-strong", "tree-dpo", "mcts")
"""The policies that Fig. 5 puts side by side."""


def drawings(tree: Entry) -> tuple[Block, ...]:
    """The most informative trees of a forest, and the widest pairs mined from them."""
    from tratree_cli.display.tree_outline import informative_outlines, pair_comparison
    from tratree_cli.formats.pairs import render_pairs
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.trees.pairs import mine
    from tratree_cli.trees.search.api import search

    read = read_tree(tree.path)
    widest = sorted(
        render_pairs(mine(read.forest, per_task=1), read.rollouts), key=lambda p: -p.gap
    )
    return (
        *informative_outlines(read, 3, search(read.forest)),
        *(pair_comparison(pair, f"pair-{n}") for n, pair in enumerate(widest[:2], start=1)),
    )


def by_environment(blocks: Mapping[str, Sequence[Block]]) -> tuple[Block, ...]:
    """The blocks of every environment of a report; where there are several, titles name theirs."""
    from tratree_cli.reporting.selection import place_name

    several = len(blocks) > 1
    return tuple(
        replace(one, key=f"{one.key}-{name}", title=f"{one.title}, {place_name(name)}")
        if several
        else one
        for name, found in blocks.items()
        for one in found
    )


def sections(main: Mapping[str, Sequence[MadeFrom]]) -> tuple[Section, ...]:
    """Training curves and case study of the main rows of every environment."""
    from tratree_cli.reporting.document import Section

    parts = (("training", "Training", training), ("case", "Case study", case_study))
    found = []
    for key, words, draw in parts:
        blocks = {environment: draw(rows) for environment, rows in main.items()}
        found.append(Section(key, words, blocks=by_environment(blocks)))
    return tuple(found)


def training(rows: Sequence[MadeFrom]) -> tuple[Block, ...]:
    """The training curves of the policies, of the first seed."""
    import orjson

    from tratree_cli.reporting.figures.training_curves import training_figures

    trained: dict[str, Any] = {}
    for row in rows:
        record = row.policy.path / "training.json" if row.policy else None
        # The best of N is chosen among the baseline's own episodes: it was not trained.
        if record is not None and record.is_file() and row.method != BEST_OF_N:
            curves = orjson.loads(record.read_bytes()).get("curves", {})
            trained.setdefault(title(row.method), curves)
    return training_figures(trained)


def case_study(rows: Sequence[MadeFrom]) -> tuple[Block, ...]:
    """Fig. 5: the trained policies on the task on which they differ most, of the first seed.

    They are compared on the split on which most of them were evaluated.
    """
    from tratree_cli.display.case_study import compare_on_task, most_telling_task
    from tratree_cli.evaluation.artifact import read_evaluation
    from tratree_cli.formats.rollouts import read_rollouts
    from tratree_cli.reporting.figures.charts import task_reward_by_step

    splits: dict[str, dict[str, MadeFrom]] = {}
    for row in rows:
        if row.method in CASE_STUDY:
            there = splits.setdefault(str(row.evaluation.document["params"]["split"]), {})
            there.setdefault(row.method, row)
    shown = max(splits.values(), key=len, default={})
    policies = [
        (title(name), read_rollouts(shown[name].evaluation.path))
        for name in CASE_STUDY
        if name in shown
    ]
    task = most_telling_task(policies) if len(policies) > 1 else None
    if task is None:
        return ()
    curves = task_reward_by_step(
        task,
        {
            title(name): read_evaluation(shown[name].evaluation.path).results
            for name in CASE_STUDY
            if name in shown
        },
    )
    return (compare_on_task(task, policies, telling=True), *filter(None, [curves]))


def artifacts(store: Store, rows: Sequence[MadeFrom]) -> tuple[Artifact, ...]:
    """Every artifact behind these rows once, in an order in which they can be made."""
    from tratree_cli.reporting.document import Artifact

    asked = [one for row in rows for one in (row.policy, row.evaluation) if one is not None]
    found = lineage.ancestors(store, asked)
    known = {entry.recipe: entry for entry in found}
    ordered: dict[str, Artifact] = {}

    def visit(entry: Entry) -> None:
        if entry.recipe in ordered:
            return
        made_from = [known.get(e.recipe, e) for e in lineage.sources(store, entry)]
        for source in made_from:
            visit(source)
        label = str(entry.provenance.get("label", entry.stage))
        seed = entry.document.get("params", {}).get("seed")
        words = label if seed is None else f"{label}, seed {seed}"
        ordered[entry.recipe] = Artifact(entry.ref, words, tuple(e.ref for e in made_from))

    for entry in found:
        visit(entry)
    return tuple(ordered.values())
