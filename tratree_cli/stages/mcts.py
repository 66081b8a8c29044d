"""Offline Monte Carlo tree search over the trees (Eq. 7): the paths e* that Eq. 8 imitates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, cast

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.pipeline.parameters import key_document, keyed_unless
from tratree_cli.stages import build_tree, stitch

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.trees.forest import Forest
    from tratree_cli.trees.search.api import SearchResult
    from tratree_cli.trees.search.node_statistics import Select

STITCHED = "stitched"
"""The path rule of the configured selection with ``mcts.stitch``."""
BEST_OBSERVED = "best-observed"
"""The selection that searches nothing: each task's best recorded trajectory (a control)."""


@dataclass(frozen=True)
class SearchParameters:
    """``rollouts`` and ``gamma`` are there where a search takes place."""

    select: str
    min_score: float
    rollouts: int | None = keyed_unless(None)
    gamma: float | None = keyed_unless(None)
    min_walks: int = keyed_unless(1)
    stitch: bool = keyed_unless(False)


STAGE = Stage("mcts", 2, "paths", "tratree_cli.stages.mcts:run", SearchParameters)


def node(config: Config, *, select: str = "", trees: Sequence[Node | Entry] | None = None) -> Node:
    """e* per task, or the best observed trajectory per task (``select="best-observed"``).

    With ``mcts.stitch``, or ``select="stitched"``, the trees are grown further by played paths
    through several of their trajectories (``stages.stitch``), which are then among the observed.
    """
    section = config.mcts
    stitched = select == STITCHED or (section.stitch and not select)
    params = SearchParameters(
        section.select if stitched else select or section.select, section.min_score
    )
    searched = params.select != BEST_OBSERVED
    if stitched and not searched:
        raise InputError(
            "mcts.select = best-observed takes what was explored and mcts.stitch adds to it; "
            "drop one of them"
        )
    if searched:
        params = replace(
            params,
            rollouts=section.rollouts,
            gamma=section.gamma,
            min_walks=section.min_walks,
            stitch=stitched,
        )
    given = tuple(trees or (build_tree.node(config),))
    return Node(
        stage=STAGE,
        label="MCTS paths" if searched else "best observed paths",
        config=config,
        params=params,
        inputs={"tree": (_stitched(config, given),) if stitched else given},
    )


def _stitched(config: Config, trees: Sequence[Node | Entry]) -> Node:
    """The trees, grown again from their own trajectories and the stitched ones."""
    (tree,) = trees
    return build_tree.node(config, rollouts=(tree, stitch.node(config, tree=tree)))


def run(job: Job[SearchParameters]) -> Result:
    from tratree_cli.formats.paths import render_paths, write_paths
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.trees.search.api import search
    from tratree_cli.trees.search.comparison import compared_with_best

    params = job.params
    tree = read_tree(job.one("tree").path)
    source: Forest | SearchResult = tree.forest
    against_best: dict[str, int] = {}
    if params.rollouts is not None and params.gamma is not None:
        select = cast("Select", params.select)
        source = search(tree.forest, params.rollouts, params.gamma, select, params.min_walks)
        against_best = asdict(compared_with_best(source))
    records, dropped = render_paths(source, tree.rollouts, params.min_score)
    meta = {"params": key_document(params), "dropped": dropped}
    write_paths(records, job.out, meta=meta)
    n = max(len(records), 1)
    summary = {
        "paths": len(records),
        "average_reward": round(100 * sum(r.score for r in records) / n, 2),
        "best_observed_reward": round(100 * sum(r.best_score for r in records) / n, 2),
        "steps": sum((len(r.messages) - r.prefix) // 2 for r in records),
        "dropped": dropped,
    }
    if params.stitch:
        made = [tree.rollouts.sources[one.source] for one in tree.rollouts.trajectories]
        summary["stitched"] = sum(made[record.trajectory] == stitch.SOURCE for record in records)
    if against_best:
        summary["against_best_observed"] = against_best
    warnings = [] if records else ["no task has a path that scores above mcts.min_score"]
    return Result(summary, warnings=warnings)
