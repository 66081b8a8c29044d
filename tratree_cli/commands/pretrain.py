"""``tratree pretrain``: self-made text → a base model of the embedded family."""

from __future__ import annotations

from typing import Annotated

import typer

from tratree_cli.commands.session import Session, stage_command

app = typer.Typer()


@app.command()
@stage_command
def pretrain(
    session: Session,
    size: Annotated[str, typer.Argument(help="tratree-s, tratree-m or tratree-l.")],
    tokens: Annotated[int, typer.Option("--tokens", help="Tokens to learn from.")] = 16_000_000,
) -> None:
    """Make a base model from nothing: copying, looking up, matching, acting (no demonstration)."""
    from tratree_cli.stages import pretrain as stage

    session.finish(stage.node(session.config(), size, tokens), follow="tratree show model@latest")
