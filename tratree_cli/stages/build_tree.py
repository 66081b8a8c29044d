"""Trajectory trees from rollouts (section 3.2): one per instruction, equal steps merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.stages import explore
from tratree_cli.stages.graph import Node, Stage

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
