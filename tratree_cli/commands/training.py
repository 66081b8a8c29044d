"""What ``sft`` and ``train-strong`` have in common: base models, processes, trackers, own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tratree_cli.commands.session import Session
from tratree_cli.errors import InputError

if TYPE_CHECKING:
    from tratree_cli.config import Config
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
    typer.Option("--track", help="Report to tensorboard, wandb or trackio [default: to nobody]."),
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


SMALL = ("quick", "micro")
"""Recipes made for the embedded models: high learning rates, all weights, many epochs."""


def warn_of_small_recipe(session: Session, config: Config, model: str, rate: float | None) -> None:
    """A large model trained with the settings of a tiny one is a mistake nobody would notice."""
    from tratree_cli.models.load import EMBEDDED

    ours = model in EMBEDDED or model.startswith(("model:", "model@"))
    if not ours and config.recipe in SMALL and rate is None and not session.dry_run:
        session.runtime.reporter.warn(
            f"recipe '{config.recipe}' is made for the embedded models (learning rate "
            f"{config.sft.learning_rate:g}, LoRA rank {config.sft.lora_r}); for {Path(model).name} "
            "take --recipe paper-qwen2.5 or one of your own"
        )


def file_of(path: Path, flag: str) -> Path:
    """A file that a flag names, which must be there."""
    if not path.is_file():
        raise InputError(f"{flag} {path}: there is no such file")
    return path
