"""``--engine``: what plays models, and what a serving engine means for the rest of a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tratree_cli.pipeline.graph import Node
    from tratree_cli.pipeline.runtime import Runtime

ENGINE_HELP = "What plays models: local, vllm, sglang or transformers."

ExtraBody = Annotated[
    str | None,
    typer.Option(
        "--extra-body",
        help="JSON object: further fields of a served model's requests; keyed.",
        metavar="JSON",
    ),
]


def use_engine(runtime: Runtime, name: str, *, jobs: int, dry_run: bool) -> None:
    """Look for the engine before anything runs, and run one stage at a time beside it.

    Two engines, or an engine and a training, would meet in the memory of one GPU; ``jobs``
    (``--jobs``, 0 where it was not given) says that there is room.
    """
    from tratree_cli.agents.engines import ENGINES
    from tratree_cli.agents.registry import engine_backend

    engine = ENGINES.get(engine_backend(name).name)
    if engine is None:
        return
    if not jobs:
        runtime.jobs = 1

    def require_engine(missing: Sequence[Node]) -> None:
        plays = [getattr(getattr(node.params, "engine", None), "backend", "") for node in missing]
        if engine.name in plays and not dry_run:
            engine.executable()

    runtime.checks.append(require_engine)
