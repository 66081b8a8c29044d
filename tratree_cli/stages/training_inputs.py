"""Model artifacts: what identifies a base model, and the training bodies that stages share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job
from tratree_cli.sections import AS_SFT, DpoSection, SftSection, TrainingSection
from tratree_cli.training.convergence import LOSS_FALL, loss_fall

if TYPE_CHECKING:
    from tratree_cli.models.load import BaseModel
    from tratree_cli.training.params import LoraParams, Progress, Sharing, TrainingResult


@lru_cache(maxsize=16)
def base_identity(name: str) -> str:
    """What a base model is keyed by: the digest of its files, or the hub's revision."""
    from tratree_cli.models.load import resolve_base
    from tratree_cli.models.template_files import require_chat_template

    base = resolve_base(name, download=False)
    require_chat_template(name, base.folder)
    return base.identity


def base_of(config: Config, role: str) -> str:
    """What the ``weak`` or ``strong`` base model is keyed by, with its template's arguments."""
    from tratree_cli.models.load import resolve_base
    from tratree_cli.models.template_arguments import identified, require_arguments, require_read
    from tratree_cli.models.template_files import own_template

    name = config.models.weak if role == "weak" else config.models.strong
    arguments = config.models.chat_template_kwargs(role)
    if arguments:
        origin = f"models.{role}_chat_template_kwargs"
        require_arguments(arguments, origin)
        template = own_template(resolve_base(name, download=False).folder)
        if template is not None:
            require_read(template, arguments, origin)
    return identified(base_identity(name), arguments)


def base_folder(job: Job[Any], role: str = "base") -> tuple[Path, dict[str, str]]:
    """The folder of the base model that the node is keyed with as ``role``, and its identity."""
    from tratree_cli.models.load import pinned_commit, resolve_base
    from tratree_cli.models.template_arguments import files_of

    wanted, names = files_of(job.node.models[role]), job.node.locations.base_models
    for name in names:
        base = resolve_base(name, pinned_commit(wanted, name))
        if base.identity == wanted:
            return base.folder, _recorded(job, base)
    raise InputError(f"the base model {' or '.join(names)} changed while it was about to be used")


def _recorded(job: Job[Any], base: BaseModel) -> dict[str, str]:
    """How an adapter names the model it belongs to, without a path of this machine.

    An object of its store by digest, a folder by digest and last name (``models.base_folders``).
    """
    from tratree_cli.models.load import is_own_folder

    objects = (job.store_root / "objects").resolve()
    folder = base.folder.resolve()
    if folder.is_relative_to(objects):
        first, rest, *_ = folder.relative_to(objects).parts
        return {"object": first + rest}
    name = folder.name if is_own_folder(base.name) else base.name
    return {"name": name, "identity": base.identity}


def training_arguments(
    job: Job[Any], training: TrainingSection, schedule: SftSection | DpoSection
) -> dict[str, Any]:
    """The keyed training parameters in the words of ``training.params``.

    ``schedule`` has the learning rate, the epochs and the batch size.
    """
    from tratree_cli.stages import distributed

    batch, processes = schedule.batch_size, distributed.process_count(job.params.world)
    if batch % processes:
        raise InputError(f"batch_size {batch} is not a multiple of {processes} processes")
    share = batch // processes
    micro = min(training.micro_batch or share, share)
    own = schedule if isinstance(schedule, DpoSection) else None
    if share % micro:
        each = f" on each of {processes} processes" if processes > 1 else ""
        raise InputError(f"batch_size {share}{each} is not a multiple of micro_batch {micro}")
    return {
        "learning_rate": schedule.learning_rate,
        "epochs": schedule.epochs,
        "batch_size": micro,
        "accumulation": share // micro,
        "warmup": training.warmup if own is None or own.warmup == AS_SFT else own.warmup,
        "scheduler": (own.scheduler if own else "") or training.scheduler,
        "weight_decay": training.weight_decay,
        "lora": _lora(training) if training.lora_r else None,
        "dtype": training.dtype,
        "save_dtype": training.save_dtype,
        "attention": training.attention,
        "gradient_checkpointing": training.gradient_checkpointing,
        "tree_packing": schedule.tree_packing,
        "checkpoint_every": training.checkpoint_every,
        "device": job.options.device,
        "seed": job.params.seed,
        "threads": job.options.threads,
        "track": job.options.track,
        "run_name": f"{job.node.label} {job.node.key[:8]}",
    }


def _lora(training: TrainingSection) -> LoraParams:
    from tratree_cli.training.params import LoraParams

    targets = list(training.lora_targets)
    return LoraParams(
        r=training.lora_r,
        alpha=training.lora_alpha,
        targets=targets[0] if targets == ["all-linear"] else tuple(targets),
        dropout=training.lora_dropout,
        merge=training.lora_merge,
    )


def merge_version(training: TrainingSection, base: str = "") -> int:
    """Keyed where it is above 1: how an adapter becomes part of the model, or names its base.

    2: added in float32 to the stored weights of its base. 3: stored apart, with no path of the
    folder that is its ``base``.
    """
    from tratree_cli.models.load import is_own_folder

    if not training.lora_r:
        return 1
    if training.lora_merge:
        return 2
    return 3 if is_own_folder(base) else 1


def held_version(training: TrainingSection) -> int:
    """Keyed where it is above 1: in what type the model is held that adapters are trained on.

    2: in float32 where bfloat16 would lose what that model was taught (``models.held``).
    """
    return 2 if training.lora_r and training.dtype != "float32" else 1


def held_warnings(folder: Path, training: TrainingSection, device: str) -> list[str]:
    """What is said where the model under adapters is held in float32 and not as it computes."""
    from tratree_cli.models.devices import precision
    from tratree_cli.models.held import held_warning

    if not training.lora_r:
        return []
    warning = held_warning(
        folder, "the model that is trained on", precision(device, training.dtype)
    )
    return [warning] if warning else []


def length_policy(max_length: int, too_long: str, model: Path) -> Any:
    """The keyed length policy; nothing may be longer than the ``model`` itself can read."""
    from tratree_cli.models.load import longest_row
    from tratree_cli.training.lengths import LengthPolicy

    return LengthPolicy(longest_row(model, max_length), too_long)


@contextmanager
def checkpoints(job: Job[Any]) -> Iterator[Path]:
    """Where a killed training resumes from; emptied when the training is done.

    The folder is found by what is trained, not by where the store lies.
    """
    inputs = {role: [entry.object for entry in entries] for role, entries in job.inputs.items()}
    work = job.scratch(
        {
            "stage": job.node.stage.name,
            "version": job.node.stage.version,
            "params": dict(job.node.key_params),
            "inputs": inputs,
            "models": dict(job.node.models),
        }
    )
    yield work
    shutil.rmtree(work, ignore_errors=True)


def training_progress(job: Job[Any]) -> Progress:
    """Optimizer steps as progress, with the loss (and DPO's margin and accuracy) as the note."""

    def show(done: int, total: int, facts: Mapping[str, float]) -> None:
        note = "  ".join(f"{name} {_short(value)}" for name, value in facts.items())
        job.progress(done, total, note)

    return show


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def template_warnings(tokenizer: Any) -> list[str]:
    """Which chat template took the place of one that does not say where the agent speaks."""
    note = getattr(tokenizer, "template_note", "")
    return [note] if note else []


def training_summary(
    result: TrainingResult, lengths: Any, training: TrainingSection
) -> dict[str, Any]:
    """What a trained model says of its making."""
    summary: dict[str, Any] = {
        "optimizer_steps": result.steps,
        "tokens": result.tokens,
        "scored_share": round(lengths.scored_share, 4),
    }
    if result.curves.get("loss"):
        summary["final_loss"] = round(result.curves["loss"][-1][1], 4)
    if isinstance(training, SftSection):
        fall = loss_fall(result.curves.get("loss", ()))
        summary |= {} if fall is None else {LOSS_FALL: round(fall, 4)}
    summary.update({name: round(value, 4) for name, value in result.facts.items()})
    if training.save_dtype in result.update_kept:
        summary["update_kept"] = result.update_kept[training.save_dtype]
    if result.processes > 1:
        summary |= {"processes": result.processes, "strategy": result.strategy}
    if result.sharing is not None:
        summary |= sharing_summary(result.sharing)
    return summary


def sharing_summary(sharing: Sharing) -> dict[str, float]:
    """What an artifact says of rows that were computed as trees."""
    return {
        "sharing_ratio": round(sharing.ratio, 2),
        "distinct_tokens": sharing.unique,
        "repeated_tokens": sharing.repeated,
    }


def shorter_rows(model: Path, max_length: int) -> list[str]:
    """A sentence where ``model`` reads less than the rows may have."""
    from tratree_cli.models.load import context_length

    positions = context_length(model)
    if not positions or positions >= max_length:
        return []
    return [
        f"the model has positions for {positions} tokens, so conversations may have that many and "
        f"not sft.max_length = {max_length}"
    ]


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
