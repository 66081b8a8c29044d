"""What ``sft`` and ``train-strong`` have in common: base models, processes, trackers, own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tratree_cli.commands.session import Session
from tratree_cli.errors import InputError

if TYPE_CHECKING:
    from tratree_cli.stages.distributed import ProcessGroupSpec

Processes = Annotated[
    int | None, typer.Option("--processes", help="Train on N processes (torchrun).", metavar="N")
]
Launch = Annotated[
    Path | None,
    typer.Option(
        "--launch", help="Train as an accelerate configuration says (FSDP2, ZeRO-3, ...)."
    ),
]
Track = Annotated[
    list[str] | None,
    typer.Option("--track", help="Report to tensorboard, wandb or trackio (default: to nobody)."),
]


def base_model(text: str | None) -> str | None:
    """A base model as typed; a folder is remembered by its whole path."""
    return str(Path(text).resolve()) if text and Path(text).is_dir() else text


def prepare(
    session: Session, processes: int | None, launch: Path | None, track: list[str] | None
) -> ProcessGroupSpec:
    """How the training runs and who is told; wrong flags are refused before anything is read."""
    from tratree_cli.stages.distributed import process_group
    from tratree_cli.training.params import check_trackers

    check_trackers(tuple(track or ()))
    session.use(track=tuple(track or ()))
    return process_group(processes, launch)


def file_of(path: Path, flag: str) -> Path:
    """A file that a flag names, which must be there."""
    if not path.is_file():
        raise InputError(f"{flag} {path}: there is no such file")
    return path
