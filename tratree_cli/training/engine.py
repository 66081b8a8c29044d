"""From our parameters to TRL's arguments, and one run of a trainer from start or checkpoint to end.

Everything that decides the result (seeds, logging and saving steps) is a function of the parameters
and the number of rows, so a killed run that resumes from a checkpoint ends with the same bytes.
"""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tratree_cli.training.quiet  # noqa: F401  (before the libraries below)

import torch  # isort: skip
from transformers import TrainingArguments  # isort: skip
from transformers.trainer_callback import PrinterCallback  # isort: skip

from tratree_cli.errors import InputError, StageError
from tratree_cli.training.params import LoraParams, Progress, TrainingParams
from tratree_cli.training.steady import Reporter, last_checkpoint

WORLD_VARIABLE = "TRATREE_PROCESSES"
STRATEGY_VARIABLE = "TRATREE_STRATEGY"
"""Set by ``launch``: how many processes, and which of accelerate's strategies, must be achieved."""


def total_steps(rows: int, config: TrainingParams, processes: int = 1) -> int:
    """Optimizer steps that training on ``rows`` rows takes."""
    if config.max_steps > 0:
        return config.max_steps
    batches = math.ceil(rows / (config.batch_size * processes))
    return max(1, math.ceil(config.epochs * math.ceil(batches / config.accumulation)))


def arguments(
    kind: type[TrainingArguments], rows: int, config: TrainingParams, work: Path, **more: Any
) -> TrainingArguments:
    """TRL arguments for ``config``: every default that cuts, prints, saves or phones is off."""
    device = choose_device(config.device)
    bfloat16 = _precision(config, device) == "bfloat16"
    total = total_steps(rows, config, world_size())
    logging = max(1, total // 40)
    every = config.checkpoint_every
    saving = int(every) if every >= 1 else math.ceil(total * every)
    # A checkpoint falls on a logging step: averages that are half gathered are not in it.
    saving = math.ceil(saving / logging) * logging
    return kind(
        output_dir=str(work / "checkpoints"),
        learning_rate=config.learning_rate,
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulation,
        warmup_steps=config.warmup,
        lr_scheduler_type=config.scheduler,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        seed=config.seed,
        data_seed=config.seed,
        bf16=bfloat16,
        use_cpu=device == "cpu",
        activation_checkpointing=config.gradient_checkpointing,
        logging_steps=logging,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_strategy="steps" if saving else "no",
        save_steps=saving or 1,
        save_total_limit=2,
        report_to=_trackers(config.track),
        disable_tqdm=True,
        log_level="error",
        dataloader_num_workers=0,
        dataloader_pin_memory=device != "cpu",
        ddp_find_unused_parameters=False,
        max_length=None,
        **more,
    )


def _trackers(names: tuple[str, ...]) -> list[str] | str:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"--track {missing[0]} needs a package: pip install {missing[0]}")
    return list(names) or "none"


def choose_device(device: str) -> str:
    """``cuda``, ``mps`` or ``cpu``; ``InputError`` when the one asked for is not there."""
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return "cuda"
    if device in ("auto", "mps") and torch.backends.mps.is_available():
        return "mps"
    if device not in ("auto", "cpu"):
        raise InputError(f"there is no device '{device}' here; use --device cpu or --device auto")
    return "cpu"


def _precision(config: TrainingParams, device: str) -> str:
    if config.dtype != "auto":
        return config.dtype
    return "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def weight_dtype(config: TrainingParams) -> str:
    """In what the weights are held: frozen weights may be bfloat16, trained ones stay float32."""
    return _precision(config, choose_device(config.device)) if config.lora else "float32"


def world_size() -> int:
    """Processes that train together (set by the launcher)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def lora_config(lora: LoraParams | None) -> Any:
    """PEFT's configuration, or None for full training."""
    if lora is None:
        return None
    from peft import LoraConfig

    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )


@contextmanager
def threads(count: int) -> Iterator[None]:
    """``count`` CPU threads inside the block; the number changes the trained bytes."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run(trainer: Any, progress: Progress, tokens: int) -> tuple[float, int]:
    """Train to the end, from the last checkpoint if there is one; (seconds, step resumed from).

    ``tokens`` is what one pass reads.
    """
    _check_world(trainer)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Reporter(progress, tokens))
    checkpoint = last_checkpoint(Path(trainer.args.output_dir))
    started = time.monotonic()
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError as error:
        raise StageError(_memory()) from error
    except RuntimeError as error:
        if "not enough memory" not in str(error) and "out of memory" not in str(error):
            raise
        raise StageError(_memory()) from error
    step = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    return time.monotonic() - started, step


def _check_world(trainer: Any) -> None:
    """The launcher may silently start fewer processes, or another strategy, than was asked for."""
    wanted = int(os.environ.get(WORLD_VARIABLE, "1"))
    got = trainer.accelerator.num_processes
    if got != wanted:
        raise StageError(
            f"{wanted} processes were asked for but {got} train together; check the accelerate "
            "configuration (on a CPU it starts one process only: use --processes instead)"
        )
    strategy = os.environ.get(STRATEGY_VARIABLE, "")
    achieved = str(trainer.accelerator.distributed_type.value)
    if strategy and strategy != achieved:
        raise StageError(
            f"the strategy {strategy} was asked for but training would run as {achieved}; "
            "check the accelerate configuration and the devices"
        )


def _memory() -> str:
    return (
        "not enough memory to train; lower batch_size (and raise accumulation to keep the "
        "effective batch), switch gradient_checkpointing on, or train with LoRA"
    )
