"""Offline Monte Carlo tree search over the trees (Eq. 7): the paths e* that Eq. 8 imitates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.stages import build_tree
from tratree_cli.stages.graph import Node, Stage

if TYPE_CHECKING:
    from tratree_store import Entry

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
