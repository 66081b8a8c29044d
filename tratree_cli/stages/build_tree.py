"""Trajectory trees from rollouts (section 3.2): one per instruction, equal steps merged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.pipeline.parameters import key_document, keyed_unless
from tratree_cli.stages import explore

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.embedding.similarity import TextSimilarity
    from tratree_cli.processes import ParallelMap
    from tratree_cli.trees.build import MergePolicy
    from tratree_cli.trees.columns import Columns
    from tratree_cli.trees.state_graph import StateGraph


EXACT, GRAPH = "exact", "graph"
"""Values of ``tree.merge``: only equal texts merge; similar ones do; states do across histories."""
OFFLINE = "offline"
"""As in ``embedding.similarity``, which is not imported for a plan."""


@dataclass(frozen=True)
class TreeParameters:
    """``threshold``, ``guard`` and ``embedder`` are None where only equal texts merge.

    An embedder that is a folder is known by its content, ``sha256:...``.
    """

    merge: str
    threshold: float | None = keyed_unless(None)
    guard: str | None = keyed_unless(None)
    embedder: str | None = keyed_unless(None)


STAGE = Stage("build-tree", 2, "tree", "tratree_cli.stages.build_tree:run", TreeParameters)


def node(config: Config, *, rollouts: Sequence[Node | Entry] | None = None) -> Node:
    sources = tuple(rollouts or (explore.node(config),))
    section = config.tree
    embedder, places = _embedder(section.embedder)
    params = TreeParameters(section.merge, section.threshold, section.guard, embedder)
    if section.merge == EXACT:
        # None of these has a meaning then, so none of them may cause a miss.
        params = TreeParameters(section.merge)
    return Node(
        stage=STAGE,
        label="trajectory trees",
        config=config,
        params=params,
        inputs={"rollouts": sources},
        files=places,
    )


def _embedder(name: str) -> tuple[str, dict[str, Path]]:
    """How an embedder is keyed, a folder by its content, and where such a folder is."""
    if name == OFFLINE or not Path(name).is_dir():
        return name, {}
    from tratree_cli.embedding.similarity import model_digest

    digest = f"sha256:{model_digest(name)}"
    return digest, {digest: Path(name)}


def _embedder_here(job: Job[TreeParameters]) -> str:
    """The embedder's name or folder."""
    keyed = job.params.embedder or OFFLINE
    if not keyed.startswith("sha256:"):
        return keyed
    place = job.node.files.get(keyed)
    if place is None:
        raise InputError(
            "the folder of this tree's embedder is not known any more; name it with "
            "--set tree.embedder=FOLDER"
        )
    return str(place)


def run(job: Job[TreeParameters]) -> Result:
    """Lines and nodes go through several processes; growing, the smallest part, stays here."""
    import numpy as np

    from tratree_cli.embedding.similarity import TextSimilarity
    from tratree_cli.formats.trees import write_tree
    from tratree_cli.processes import ParallelMap
    from tratree_cli.trees.build import MergePolicy, build_forest
    from tratree_cli.trees.progress import graph_figures, tree_progress
    from tratree_cli.trees.sharing import read_and_distinct
    from tratree_cli.trees.statistics import forest_statistics

    params = job.params
    embedder = _embedder_here(job)
    policy = MergePolicy(
        kind="exact" if params.merge == EXACT else "similar",
        threshold=0.95 if params.threshold is None else params.threshold,
        guard=cast(Literal["numbers-equal"] | None, params.guard or None),
    )
    with ParallelMap(job.options.workers) as parallel:
        texts, columns = _copied(job, parallel)
        similarity = TextSimilarity(
            texts,
            embedder,
            cache=job.scratch({"embeddings": params.embedder or OFFLINE}),
            progress=lambda done, total: job.progress(done, total, "embedding"),
        )
        forest = build_forest(
            columns,
            policy,
            similarity,
            similarity.guard,
            progress=lambda done, total: job.progress(done, total, "merging"),
        )
        graph = _graph(job, columns, policy, similarity, texts) if params.merge == GRAPH else None
        write_tree(forest, job.out, {"policy": key_document(params)}, parallel.map, graph)
    progress = tree_progress(forest)
    statistics = forest_statistics(forest)
    flat, distinct = read_and_distinct(columns, np.array([*map(len, texts)]))
    merges = forest.merges
    summary: dict[str, Any] = {
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
        "shared_text": round(flat / distinct if distinct else 1.0, 2),
        "distinct_characters": distinct,
        "failed_steps_in_progress": round(progress.of_failed, 3),
        "successful_steps_without": round(progress.idle_of_successful, 3),
        "quality": statistics.quality[1],
    }
    if graph is not None:
        summary["graph"] = graph_figures(graph)
    return Result(summary, warnings=similarity.warnings)


def _graph(
    job: Job[TreeParameters],
    columns: Columns,
    policy: MergePolicy,
    similarity: TextSimilarity,
    texts: Sequence[str],
) -> StateGraph:
    from tratree_cli.envs.registry import lasting_effect_of
    from tratree_cli.formats.rollouts import read_head
    from tratree_cli.trees.join_states import build_state_graph
    from tratree_cli.trees.merge_observations import Merger

    merger = None
    if policy.compares:
        guard = similarity.guard if policy.guard else None
        merger = Merger(policy.threshold, similarity, guard)
    head, _ = read_head(job.out)
    lasts = lasting_effect_of(str(head.environment.get("name", "")))
    lasting = None if lasts is None else lambda action: action >= 0 and lasts(texts[action])
    return build_state_graph(columns, merger, lasting)


def _copied(job: Job[TreeParameters], parallel: ParallelMap) -> tuple[Sequence[str], Columns]:
    """Write the merged rollouts beside the tree to be; return their texts and their columns."""
    from tratree_cli.formats.merging import merge_heads
    from tratree_cli.formats.rollouts import TRAJECTORIES, read_head, write_head, write_lines
    from tratree_cli.formats.streaming import Block, blocks
    from tratree_cli.trees.columns import joined_columns

    folders = [entry.path for entry in job.inputs["rollouts"]]
    heads, counts = zip(*map(read_head, folders), strict=True)
    head, shifts = merge_heads(heads)
    write_head(head, sum(counts), job.out)
    parts: list[Columns] = []

    def lines() -> Iterator[bytes]:
        done = 0
        pieces = (b for pair in zip(folders, shifts, strict=True) for b in blocks(*pair))
        for moved, part in parallel.map(Block.move, pieces):
            parts.append(part)
            done += len(part)
            job.progress(done, sum(counts), "reading")
            yield moved

    write_lines(job.out / TRAJECTORIES, lines())
    return head.texts.texts, joined_columns(parts)
