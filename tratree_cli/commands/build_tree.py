"""``tratree build-tree``: rollouts → trajectory trees."""

from __future__ import annotations

from typing import Annotated

import typer

from tratree_cli.commands.completion import complete_reference
from tratree_cli.commands.session import Session, stage_command

app = typer.Typer()


@app.command("build-tree")
@stage_command
def build_tree(
    session: Session,
    rollouts: Annotated[
        list[str] | None,
        typer.Argument(
            help="Rollouts, one or more (default: explored).", autocompletion=complete_reference
        ),
    ] = None,
    merge: Annotated[str | None, typer.Option("--merge", help="exact, similar or graph.")] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="xi_sim, cosine of merged observations.")
    ] = None,
    embedder: Annotated[
        str | None, typer.Option("--embedder", help="offline, or a sentence-transformers model.")
    ] = None,
) -> None:
    """Merge trajectories into one tree per instruction (section 3.2)."""
    from tratree_cli.display.summaries import tree_summary
    from tratree_cli.stages import build_tree as stage

    given = session.entries(rollouts or [], ("rollouts",))
    config = session.config(
        given, tree__merge=merge, tree__threshold=threshold, tree__embedder=embedder
    )
    session.finish(
        stage.node(config, rollouts=given or None),
        summary=tree_summary,
    )
