"""``tratree sft``: demonstrations → a fine-tuned model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tratree_cli.commands.session import Session, stage_command
from tratree_cli.commands.training import Launch, Processes, Track

if TYPE_CHECKING:
    from rich.console import RenderableType
    from tratree_store import Entry

app = typer.Typer()


@app.command()
@stage_command
def sft(
    session: Session,
    demos: Annotated[
        list[str] | None, typer.Argument(help="Demonstrations (default: made by the expert).")
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--demos", help="Conversations of your own: ETO, ShareGPT or messages JSONL."),
    ] = None,
    role: Annotated[str, typer.Option("--role", help="Which base: weak or strong.")] = "weak",
    model: Annotated[
        str | None,
        typer.Option("--model", help="Base: embedded name, folder, hub name[@revision], model:…"),
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option(
            "--epochs",
            metavar="N|auto",
            help="Passes over the demonstrations; auto: chosen on dev.",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--lr", help="Learning rate (sft.ROLE.learning_rate).")
    ] = None,
    diverge_from: Annotated[
        str | None,
        typer.Option("--diverge-from", help="Eq. 5: stay away from this model's trajectories."),
    ] = None,
    diverge_weight: Annotated[
        float | None, typer.Option("--diverge-weight", help="Eq. 5: lambda.")
    ] = None,
    processes: Processes = None,
    launch: Launch = None,
    track: Track = None,
) -> None:
    """Fine-tune a base model on demonstrations (Eq. 4; with --diverge-from, Eq. 5)."""
    from tratree_cli.commands.training import base_model, file_of, prepare
    from tratree_cli.errors import InputError, did_you_mean
    from tratree_cli.stages import importing
    from tratree_cli.stages import sft as stage

    if role not in stage.ROLES:
        near = did_you_mean(role, stage.ROLES)
        raise InputError(f"--role must be weak or strong, not '{role}'{near}")
    group = prepare(session, processes, launch, track)
    given = session.entries(demos or [], ("demos",)) if demos or not file else []
    diverge = session.entry(diverge_from, ("model",)) if diverge_from else None
    base = base_model(model)
    config = session.config(
        [*given, *([diverge] if diverge else [])],
        **{
            f"models__{role}": base,
            # They speak of this model; whoever continues from it finds the other as it was.
            f"sft__{role}__epochs": _epochs(epochs),
            f"sft__{role}__learning_rate": learning_rate,
            f"sft__{role}__diverge_weight": diverge_weight,
        },
    )
    if diverge is None and (other := config.sft.of(role).diverge_from):
        diverge = session.entry(other, ("model",))
    if diverge is None and diverge_weight is not None:
        raise InputError("--diverge-weight is Eq. 5's; name a model with --diverge-from")
    imported = [importing.node(config, file_of(p, "--demos"), kind="demos") for p in file or []]
    node = stage.node(
        config,
        role,
        demonstrations=[*given, *imported] or None,
        diverge_from=diverge,
        processes=group,
    )
    session.finish(node, summary=lambda entry: _length(entry, role))


def _epochs(text: str | None) -> float | str | None:
    """A number as one; of any other word the configuration says what it must be."""
    try:
        return text if text is None else float(text)
    except ValueError:
        return text


def _length(entry: Entry, role: str) -> RenderableType | None:
    """How ``auto`` chose the number of epochs, and what to type where it ended too early."""
    from rich.text import Text

    from tratree_cli.training import convergence

    search, short = convergence.length_search(entry.summary), convergence.unconverged(entry.summary)
    if search is None:
        return None
    lines = [convergence.in_words(search)]
    if short:
        longest = search.candidates[-1]
        more = [*search.candidates, *(round(longest * factor) for factor in (1.5, 2))]
        longer = ",".join(f"{epochs:g}" for epochs in more)
        lines.append(f"not converged: {short}; type --set sft.{role}.auto_epochs=[{longer}]")
    return Text("\n".join(lines))
