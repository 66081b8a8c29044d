"""``tratree import``: trajectories of other programs → rollouts or demos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tratree_cli.commands.completion import complete_import
from tratree_cli.commands.session import Session, stage_command

app = typer.Typer()


@app.command("import")
@stage_command
def import_(
    session: Session,
    file: Annotated[Path, typer.Argument(help="JSON list or JSON lines, plain or .zst.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="eto, sharegpt or jsonl (default: told by the file).",
            autocompletion=complete_import,
        ),
    ] = "",
    kind: Annotated[str, typer.Option("--as", help="rollouts, demos or pairs.")] = "rollouts",
    on_error: Annotated[
        str, typer.Option("--on-error", help="stop at a bad record, or skip and count it.")
    ] = "stop",
) -> None:
    """Read the trajectories or pairs of another program; every record is checked."""
    from tratree_cli.stages import importing as stage

    config = session.config([])
    node = stage.node(config, file, form=form, kind=kind, on_error=on_error)
    session.finish(node)
