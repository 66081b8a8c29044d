"""Model artifacts: what identifies a base model, and the training bodies that stages share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli.config import DpoSection, SftSection
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Result

if TYPE_CHECKING:
    from tratree_cli.models.load import BaseModel
    from tratree_cli.training.params import Progress, TrainingResult


@lru_cache(maxsize=16)
def base_identity(name: str) -> str:
    """What a base model is keyed by: the digest of its files, or the hub's revision."""
    from tratree_cli.models.load import resolve_base

    return resolve_base(name, download=False).identity


def require_resolved(identity: str) -> None:
    """Raise what keeps a hub model from being used, before anything is computed for it."""
    from tratree_cli.models.load import UNRESOLVED, resolve_base

    name, _, commit = identity.removeprefix("hub:").partition("@")
    if commit == UNRESOLVED:
        resolve_base(name)


def base_folder(job: Job, names: Sequence[str]) -> tuple[Path, dict[str, str]]:
    """The folder of the base model that the node is keyed with, and its identity."""
    from tratree_cli.models.load import pinned_commit, resolve_base

    wanted = job.node.models["base"]
    for name in names:
        base = resolve_base(name, pinned_commit(wanted, name))
        if base.identity == wanted:
            return base.folder, _recorded(job, base)
    raise InputError(f"the base model {' or '.join(names)} changed while it was about to be used")


def _recorded(job: Job, base: BaseModel) -> dict[str, str]:
    """How an adapter names the model it belongs to: an object of its store goes without a path."""
    objects = (job.store_root / "objects").resolve()
    folder = base.folder.resolve()
    if folder.is_relative_to(objects):
        first, rest, *_ = folder.relative_to(objects).parts
        return {"object": first + rest}
    return {"name": base.name, "identity": base.identity}


SINCE = {
    name: getattr(SftSection(), name)
    for name in (
        "lora_targets", "lora_dropout", "lora_merge", "packing", "attention",
        "gradient_checkpointing", "save_dtype",
    )
} | {name: getattr(DpoSection(), name) for name in ("loss_type", "label_smoothing")}  # fmt: skip
"""Parameters that younger versions have: keyed only where they differ from what was always so, so
that a new version finds what an older one made."""


def keyed(section: SftSection | DpoSection) -> dict[str, Any]:
    """A training section as its stages key it."""
    params = asdict(section)
    params.pop("checkpoint_every", None)
    return {name: value for name, value in params.items() if SINCE.get(name, _NEVER) != value}


_NEVER = object()


def training_arguments(job: Job, params: Mapping[str, Any]) -> dict[str, Any]:
    """The keyed training parameters in the words of ``training.params``."""
    from tratree_cli.stages import distributed
    from tratree_cli.training.params import LoraParams

    given = {**SINCE, **params}
    batch, processes = int(given["batch_size"]), distributed.of(job.params)
    if batch % processes:
        raise InputError(f"batch_size {batch} is not a multiple of {processes} processes")
    share = batch // processes
    micro = min(int(given.get("micro_batch") or 0) or share, share)
    if share % micro:
        each = f" on each of {processes} processes" if processes > 1 else ""
        raise InputError(f"batch_size {share}{each} is not a multiple of micro_batch {micro}")
    return {
        "learning_rate": given["learning_rate"],
        "epochs": given["epochs"],
        "batch_size": micro,
        "accumulation": share // micro,
        "warmup": given["warmup"],
        "scheduler": given["scheduler"],
        "weight_decay": given["weight_decay"],
        "lora": _lora(given, LoraParams) if int(given.get("lora_r", 0)) else None,
        "dtype": given["dtype"],
        "save_dtype": given["save_dtype"],
        "attention": given["attention"],
        "gradient_checkpointing": given["gradient_checkpointing"],
        "checkpoint_every": job.config.sft.checkpoint_every,
        "device": job.options.device,
        "seed": job.params["seed"],
        "threads": job.options.threads,
        "track": job.options.track,
        "run_name": f"{job.node.label} {job.node.key[:8]}",
    }


def _lora(params: Mapping[str, Any], make: Callable[..., Any]) -> Any:
    targets = list(params["lora_targets"])
    return make(
        r=int(params["lora_r"]),
        alpha=int(params["lora_alpha"]),
        targets=targets[0] if targets == ["all-linear"] else tuple(targets),
        dropout=float(params["lora_dropout"]),
        merge=bool(params["lora_merge"]),
    )


def length_policy(params: Mapping[str, Any], model: Path) -> Any:
    """The keyed length policy; nothing may be longer than the ``model`` itself can read."""
    from tratree_cli.models.load import longest_row
    from tratree_cli.training.data import LengthPolicy

    return LengthPolicy(longest_row(model, params["max_length"]), params["too_long"])


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
        note = "  ".join(f"{name} {_short(value)}" for name, value in facts.items())
        job.progress(done, total, note)

    return show


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


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
    from tratree_cli.models.load import load_tokenizer
    from tratree_cli.stages.distributed import train_in_world
    from tratree_cli.training.data import sft_rows
    from tratree_cli.training.launch import Task
    from tratree_cli.training.params import SFTParams

    arguments = training_arguments(job, params)
    if diverge_from is not None:
        arguments["diverge_weight"] = params["diverge_weight"]
        arguments["diverge_cap"] = params["diverge_cap"]
    config = SFTParams(**arguments, packing=bool(params.get("packing")), max_steps=max_steps)
    job.progress(0, 0, "encoding conversations")
    tokenizer = load_tokenizer(base)
    rows, lengths = sft_rows(tokenizer, conversations, length_policy(params, base), prefix=prefix)
    with checkpoints(job) as work:
        method = "sft" if diverge_from is None else "explorer"
        task = Task(method, base, rows, config, job.out, work, diverge_from, identity)
        result = train_in_world(job, task, training_progress(job))
    return Result(
        {"conversations": len(rows), **training_summary(result, lengths)},
        warnings=[
            *length_warnings(lengths, len(conversations), "conversations"),
            *template_warnings(tokenizer),
        ],
    )


def template_warnings(tokenizer: Any) -> list[str]:
    """Which chat template took the place of one that does not say where the agent speaks."""
    note = getattr(tokenizer, "template_note", "")
    return [note] if note else []


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
    if result.processes > 1:
        summary |= {"processes": result.processes, "strategy": result.strategy}
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
