"""Trajectory trees from rollouts (section 3.2): one per instruction, equal steps merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.stages import explore
from tratree_cli.stages.graph import Job, Node, Result, Stage

if TYPE_CHECKING:
    from tratree_store import Entry

STAGE = Stage("build-tree", 1, "tree", "tratree_cli.stages.build_tree:run")


def node(config: Config, *, rollouts: Sequence[Node | Entry] | None = None) -> Node:
    sources = tuple(rollouts or (explore.node(config),))
    params = asdict(config.tree)
    if config.tree.merge == "exact":
        # None of these has a meaning then, so none of them may cause a miss.
        params = {"merge": "exact"}
    return Node(
        stage=STAGE,
        label="trajectory trees",
        config=config,
        params=params,
        inputs={"rollouts": sources},
    )


def run(job: Job) -> Result:
    from tratree_cli.embedding.similarity import TextSimilarity
    from tratree_cli.formats.columns import columns_from_rollouts, merge_rollouts
    from tratree_cli.formats.rollouts import read_rollouts
    from tratree_cli.formats.trees import write_tree
    from tratree_cli.stages.growing import grow
    from tratree_cli.trees.build import MergePolicy
    from tratree_cli.trees.statistics import forest_statistics

    params = job.params
    rollouts = merge_rollouts([read_rollouts(entry.path) for entry in job.inputs["rollouts"]])
    policy = MergePolicy(
        kind=params["merge"],
        threshold=params.get("threshold", 0.95),
        guard=params.get("guard") or None,
    )
    similarity = TextSimilarity(
        rollouts.texts.texts,
        params.get("embedder", "offline"),
        cache=job.scratch({"embeddings": params.get("embedder", "offline")}),
        progress=lambda done, total: job.progress(done, total, "embedding"),
    )
    forest = grow(
        columns_from_rollouts(rollouts),
        policy,
        similarity,
        similarity.guard,
        progress=lambda done, total: job.progress(done, total, "merging"),
        workers=job.options.workers,
    )
    write_tree(forest, rollouts, job.out, meta={"policy": dict(params)})
    statistics = forest_statistics(forest)
    merges = forest.merges
    summary = {
        "trees": statistics.trees,
        "nodes": statistics.nodes,
        "trajectories": statistics.trajectories,
        "steps": statistics.steps,
        "embedded_texts": merges.embedded,
        "merged_by_equality": merges.by_equality,
        "merged_by_similarity": merges.by_similarity,
        "paths_per_tree": round(statistics.paths_per_tree, 2),
        "mean_depth": round(statistics.mean_depth, 2),
        "ended_by_itself": round(statistics.ended, 3),
        "divergences": statistics.divergences,
        "divergent_nodes": round(statistics.divergent, 3),
        "mean_gap": round(statistics.gap, 3),
        "outcome_entropy": round(statistics.entropy, 3),
        "quality": statistics.quality[1],
    }
    return Result(summary, warnings=similarity.warnings)
