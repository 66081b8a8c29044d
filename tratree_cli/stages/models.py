"""Model artifacts: what identifies a base model, and the training bodies that stages share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli.errors import InputError
from tratree_cli.stages.graph import Job, Result

if TYPE_CHECKING:
    from tratree_cli.training.params import Progress, SFTParams, TrainingResult


@lru_cache(maxsize=16)
def base_identity(name: str) -> str:
    """What a base model is keyed by: the digest of its files, or the hub's revision."""
    from tratree_cli.training.load import resolve_base

    return resolve_base(name, download=False).identity


def base_folder(job: Job, names: Sequence[str]) -> tuple[Path, dict[str, str]]:
    """The folder of the base model that the node is keyed with, and its identity."""
    from tratree_cli.training.load import resolve_base

    wanted = job.node.models["base"]
    for name in names:
        base = resolve_base(name)
        if base.identity == wanted:
            return base.folder, {"name": base.name, "identity": base.identity}
    raise InputError(f"the base model {' or '.join(names)} changed while it was about to be used")


def training_arguments(job: Job, params: Mapping[str, Any]) -> dict[str, Any]:
    """The keyed training parameters in the words of ``training.params``."""
    from tratree_cli.training.params import LoraParams

    batch, micro = int(params["batch_size"]), int(params.get("micro_batch") or 0)
    micro = min(micro or batch, batch)
    if batch % micro:
        raise InputError(f"batch_size {batch} is not a multiple of micro_batch {micro}")
    rank = int(params.get("lora_r", 0))
    return {
        "learning_rate": params["learning_rate"],
        "epochs": params["epochs"],
        "batch_size": micro,
        "accumulation": batch // micro,
        "warmup": params["warmup"],
        "scheduler": params["scheduler"],
        "weight_decay": params["weight_decay"],
        "lora": LoraParams(r=rank, alpha=int(params["lora_alpha"])) if rank else None,
        "dtype": params["dtype"],
        "device": job.options.device,
        "seed": job.params["seed"],
        "threads": job.options.threads,
    }


def length_policy(params: Mapping[str, Any]) -> Any:
    from tratree_cli.training.data import LengthPolicy

    return LengthPolicy(max_length=params["max_length"] or None, policy=params["too_long"])


@contextmanager
def checkpoints(job: Job) -> Iterator[Path]:
    """Where a killed training resumes from; emptied when the training is done.

    The folder is found by what is trained, not by where the store lies.
    """
    inputs = {role: [entry.object for entry in found] for role, found in job.inputs.items()}
    work = job.scratch(
        {
            "stage": job.node.stage.name,
            "version": job.node.stage.version,
            "params": dict(job.params),
            "inputs": inputs,
            "models": dict(job.node.models),
        }
    )
    yield work
    shutil.rmtree(work, ignore_errors=True)


def training_progress(job: Job) -> Progress:
    """Optimizer steps as progress, with the loss (and DPO's margin and accuracy) as the note."""

    def show(done: int, total: int, facts: Mapping[str, float]) -> None:
        note = "  ".join(f"{name} {value:.3g}" for name, value in facts.items())
        job.progress(done, total, note)

    return show


def imitate(
    job: Job,
    *,
    base: Path,
    identity: Mapping[str, str],
    conversations: Sequence[Sequence[Mapping[str, str]]],
    prefix: int,
    params: Mapping[str, Any],
    diverge_from: Path | None = None,
    max_steps: int = 0,
) -> Result:
    """Supervised training on conversations (Eq. 4 and Eq. 8; Eq. 5 with ``diverge_from``)."""
    from tratree_cli.training.data import sft_rows
    from tratree_cli.training.load import load_tokenizer
    from tratree_cli.training.params import SFTParams
    from tratree_cli.training.sft import train_sft

    job.progress(0, 0, "encoding conversations")
    rows, lengths = sft_rows(
        load_tokenizer(base), conversations, length_policy(params), prefix=prefix
    )
    arguments = training_arguments(job, params)
    if diverge_from is not None:
        arguments["diverge_weight"] = params["diverge_weight"]
        arguments["diverge_cap"] = params["diverge_cap"]
    config: SFTParams = SFTParams(**arguments, max_steps=max_steps)
    with checkpoints(job) as work:
        common = (config, job.out, work, training_progress(job), identity)
        if diverge_from is None:
            result = train_sft(base, rows, *common)
        else:
            from tratree_cli.training.explorer import train_explorer

            result = train_explorer(base, rows, diverge_from, *common)
    return Result(
        {"conversations": len(rows), **training_summary(result, lengths)},
        warnings=length_warnings(lengths, len(conversations), "conversations"),
    )


def training_summary(result: TrainingResult, lengths: Any) -> dict[str, Any]:
    """What a trained model says of its making."""
    summary: dict[str, Any] = {
        "optimizer_steps": result.steps,
        "tokens": result.tokens,
        "scored_share": round(lengths.scored_share, 4),
    }
    if result.curves.get("loss"):
        summary["final_loss"] = round(result.curves["loss"][-1][1], 4)
    summary.update({name: round(value, 4) for name, value in result.facts.items()})
    return summary


def length_warnings(lengths: Any, given: int, what: str) -> list[str]:
    """Nothing is cut silently: say what was left out or shortened."""
    warnings = []
    if lengths.dropped:
        warnings.append(f"{lengths.dropped} of {given} {what} were too long and left out")
    if lengths.shortened:
        warnings.append(f"{lengths.shortened} of {given} {what} were shortened to fit")
    if lengths.silent:
        warnings.append(f"{lengths.silent} of {given} {what} have no token of the agent")
    return warnings
