"""``tratree pretrain``: self-made text → base models of the embedded family."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tratree_cli.commands.next_step import short
from tratree_cli.commands.session import Session, stage_command
from tratree_cli.errors import InputError

app = typer.Typer()


@app.command()
@stage_command
def pretrain(
    session: Session,
    sizes: Annotated[
        list[str] | None,
        typer.Argument(
            help="tratree-s, -m, -l (the shop); tratree-rooms-s, -rooms-m (default: all)."
        ),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", help="Tokens to learn from (default: as shipped).")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Also write each model to FOLDER/SIZE, as it is shipped."),
    ] = None,
) -> None:
    """Make base models from nothing: copying, looking up, matching, acting (no demonstration)."""
    from tratree_cli.stages import pretrain as stage

    chosen = list(dict.fromkeys(sizes or stage.NAMES))
    if session.name and len(chosen) > 1:
        raise InputError(f"--name names one model, not {len(chosen)}: give one size")
    nodes = {size: stage.node(session.config(), size, tokens) for size in chosen}
    for size, node in nodes.items():
        entry = session.realise(node)
        if entry is None:
            continue
        session.print_entry(entry)
        if to is not None:
            stage.ship(entry.path, to / size)
        session.runtime.reporter.hint(f"tratree sft --model {short(entry)}")
