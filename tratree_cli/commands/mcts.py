"""``tratree mcts``: trees → the best paths."""

from __future__ import annotations

from typing import Annotated

import typer

from tratree_cli.commands.completion import complete_reference
from tratree_cli.commands.session import Session, stage_command

app = typer.Typer()


@app.command()
@stage_command
def mcts(
    session: Session,
    tree: Annotated[
        list[str] | None,
        typer.Argument(help="A tree (default: built).", autocompletion=complete_reference),
    ] = None,
    rollouts: Annotated[
        int | None, typer.Option("--rollouts", help="Iterations per tree.", min=1)
    ] = None,
    gamma: Annotated[
        float | None, typer.Option("--gamma", help="Exploration constant of Eq. 7.")
    ] = None,
    select: Annotated[
        str | None, typer.Option("--select", help="mean, visits, max, or best-observed.")
    ] = None,
    stitched: Annotated[
        bool | None,
        typer.Option(
            "--stitch/--no-stitch",
            help="Play paths through several trajectories too; what is better joins the trees.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Search the trees offline (Eq. 7) and keep the best path of each task."""
    from tratree_cli.display.summaries import paths_summary
    from tratree_cli.stages import mcts as stage

    given = session.entries(tree or [], ("tree",))
    config = session.config(
        given,
        mcts__rollouts=rollouts,
        mcts__gamma=gamma,
        mcts__select=select,
        mcts__stitch=stitched,
    )
    session.finish(stage.node(config, trees=given or None), summary=paths_summary)
