"""``tratree sft``: demonstrations → a fine-tuned model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tratree_cli.commands.session import Session, stage_command

app = typer.Typer()


@app.command()
@stage_command
def sft(
    session: Session,
    demos: Annotated[
        list[str] | None, typer.Argument(help="Demonstrations [default: made by the expert].")
    ] = None,
    role: Annotated[str, typer.Option("--role", help="Which base: weak or strong.")] = "weak",
    model: Annotated[
        str | None, typer.Option("--model", help="Base model: embedded name, folder, hub name.")
    ] = None,
    epochs: Annotated[float | None, typer.Option("--epochs", help="sft.epochs")] = None,
    learning_rate: Annotated[float | None, typer.Option("--lr", help="sft.learning_rate")] = None,
    diverge_from: Annotated[
        str | None,
        typer.Option("--diverge-from", help="Eq. 5: stay away from this model's trajectories."),
    ] = None,
    diverge_weight: Annotated[
        float | None, typer.Option("--diverge-weight", help="Eq. 5: lambda.")
    ] = None,
) -> None:
    """Fine-tune a base model on demonstrations (Eq. 4; with --diverge-from, Eq. 5)."""
    from tratree_cli.errors import InputError
    from tratree_cli.stages import sft as stage

    if role not in stage.ROLES:
        raise InputError(f"--role must be weak or strong, not '{role}'")
    given = session.entries(demos or [], ("demos",))
    diverge = session.entry(diverge_from, ("model",)) if diverge_from else None
    folder = str(Path(model).resolve()) if model and Path(model).is_dir() else model
    config = session.config(
        [*given, *([diverge] if diverge else [])],
        sft__epochs=epochs,
        sft__learning_rate=learning_rate,
        sft__diverge_weight=diverge_weight,
        **{f"models__{role}": folder},
    )
    node = stage.node(config, role, demonstrations=given or None, diverge_from=diverge)
    session.finish(node, follow="tratree explore" if role == "weak" else "tratree train-strong")
