"""``--engine``: what plays models, and what a serving engine means for the rest of a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tratree_cli.commands.session import Session
    from tratree_cli.pipeline.graph import Node

ENGINE_HELP = "What plays models: local, vllm, sglang or transformers."


def use_engine(session: Session, name: str) -> None:
    """Look for the engine before anything runs, and run one stage at a time beside it.

    Two engines, or an engine and a training, would meet in the memory of one GPU; ``--jobs``
    says that there is room.
    """
    from tratree_cli.agents.engines import ENGINES
    from tratree_cli.agents.registry import engine_backend

    engine = ENGINES.get(engine_backend(name).name)
    if engine is None:
        return
    if not session.jobs:
        session.runtime.jobs = 1

    def require_engine(missing: Sequence[Node]) -> None:
        plays = [getattr(getattr(node.params, "engine", None), "backend", "") for node in missing]
        if engine.name in plays and not session.dry_run:
            engine.executable()

    session.runtime.checks.append(require_engine)
