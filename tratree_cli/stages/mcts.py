"""Offline Monte Carlo tree search over the trees (Eq. 7): the paths e* that Eq. 8 imitates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.stages import build_tree

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.trees.forest import Forest
    from tratree_cli.trees.search.api import SearchResult

STAGE = Stage("mcts", 1, "paths", "tratree_cli.stages.mcts:run")


def node(config: Config, *, select: str = "", trees: Sequence[Node | Entry] | None = None) -> Node:
    """e* per task, or the best observed trajectory per task (``select="best-observed"``)."""
    select = select or config.mcts.select
    params = {**asdict(config.mcts), "select": select}
    if select == "best-observed":
        params = {"select": select, "min_score": config.mcts.min_score}
    return Node(
        stage=STAGE,
        label="best observed paths" if select == "best-observed" else "MCTS paths",
        config=config,
        params=params,
        inputs={"tree": tuple(trees or (build_tree.node(config),))},
    )


def run(job: Job) -> Result:
    from tratree_cli.formats.paths import render_paths, write_paths
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.trees.search.api import search

    params = job.params
    tree = read_tree(job.one("tree").path)
    found: Forest | SearchResult = tree.forest
    if params["select"] != "best-observed":
        found = search(tree.forest, params["rollouts"], params["gamma"], params["select"])
    records, dropped = render_paths(found, tree.rollouts, params["min_score"])
    write_paths(records, job.out, meta={"params": dict(params), "dropped": dropped})
    n = max(len(records), 1)
    summary = {
        "paths": len(records),
        "average_reward": round(100 * sum(r.score for r in records) / n, 2),
        "best_observed_reward": round(100 * sum(r.best_score for r in records) / n, 2),
        "steps": sum((len(r.messages) - r.prefix) // 2 for r in records),
        "dropped": dropped,
    }
    warnings = [] if records else ["no task has a path that scores above mcts.min_score"]
    return Result(summary, warnings=warnings)
