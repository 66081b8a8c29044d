"""TRL's arguments for our parameters, and one run of a trainer from start or checkpoint to end.

Everything that decides the result (seeds, logging and saving steps) is a function of the parameters
and the number of rows, so a killed run that resumes from a checkpoint ends with the same bytes.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import tratree_cli.training.libraries  # noqa: F401  (before the libraries below)

import torch  # isort: skip
from transformers import TrainingArguments  # isort: skip
from transformers.integrations import TensorBoardCallback  # isort: skip
from transformers.trainer_callback import PrinterCallback  # isort: skip

from tratree_cli.errors import StageError
from tratree_cli.models.devices import own_device, precision
from tratree_cli.models.held import held_dtype
from tratree_cli.models.load import load_model
from tratree_cli.training import launch
from tratree_cli.training.deterministic_trainer import ProgressCallback, last_checkpoint
from tratree_cli.training.params import LoraParams, Progress, TrainingParams, check_trackers


def total_steps(rows: int, config: TrainingParams, processes: int = 1) -> int:
    """Optimizer steps that training on ``rows`` rows takes."""
    if config.max_steps > 0:
        return config.max_steps
    batches = math.ceil(rows / (config.batch_size * processes))
    return max(1, math.ceil(config.epochs * math.ceil(batches / config.accumulation)))


def world_size() -> int:
    """Processes that train together (set by the launcher)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def weight_dtype(config: TrainingParams) -> str:
    """In what the weights are held: frozen weights may be bfloat16, trained ones stay float32."""
    return precision(config.device, config.dtype) if config.lora else "float32"


def load_to_train(folder: str | Path, config: TrainingParams) -> Any:
    """The model in ``folder`` as a training, or a frozen model beside it, holds it.

    Frozen weights are in the arithmetic's type unless that loses what the model was taught.
    """
    held = held_dtype(Path(folder), weight_dtype(config))
    return load_model(folder, held, config.attention)


def arguments(
    kind: type[TrainingArguments], rows: int, config: TrainingParams, work: Path, **more: Any
) -> TrainingArguments:
    """TRL arguments for ``config``.

    Every default that cuts rows, prints, saves or sends telemetry is off.
    """
    device = own_device(config.device)
    bfloat16 = precision(config.device, config.dtype) == "bfloat16"
    total = total_steps(rows, config, world_size())
    logging = max(1, total // 40)
    every = config.checkpoint_every
    saving = int(every) if every >= 1 else math.ceil(total * every)
    # A checkpoint falls on a logging step: averages that are half gathered are not in it.
    saving = math.ceil(saving / logging) * logging
    arguments = kind(
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
        data_seed=config.order_seed,
        bf16=bfloat16,
        use_cpu=device == "cpu",
        activation_checkpointing=config.gradient_checkpointing,
        logging_steps=logging,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_strategy="steps" if saving else "no",
        save_steps=saving or 1,
        save_total_limit=2,
        report_to=_trackers(config),
        run_name=config.run_name or None,
        project="tratree",
        disable_tqdm=True,
        log_level="error",
        dataloader_num_workers=0,
        dataloader_pin_memory=device != "cpu",
        ddp_find_unused_parameters=False,
        max_length=None,
        **more,
    )
    if device.startswith("cuda") and world_size() == 1:
        _use_one_gpu(arguments, device)
    return arguments


def _use_one_gpu(arguments: Any, device: str) -> None:
    """Train on ``device`` alone; transformers takes GPU 0 and all others that it sees with it.

    Several GPUs in one process would multiply the batch; ``--processes`` divides it.
    """
    chosen = torch.device(device)
    torch.cuda.set_device(chosen)
    arguments.distributed_state.device = chosen
    # A cached property: this is what transformers itself would have found.
    arguments.__dict__["_setup_devices"] = chosen
    arguments._n_gpu = 1


def _trackers(config: TrainingParams) -> list[str] | str:
    """What transformers reports to: nothing unless asked."""
    check_trackers(config.track)
    return list(config.track) or "none"


def _keep_what_is_tracked(trainer: Any) -> None:
    """TensorBoard's files would lie beside the checkpoints, and go with them."""
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(Path("tensorboard") / (trainer.args.run_name or "run"))


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


def run(trainer: Any, progress: Progress, tokens: int) -> tuple[float, int]:
    """Train to the end, from the last checkpoint if there is one; (seconds, step resumed from).

    ``tokens`` is what one pass reads.
    """
    _check_processes(trainer)
    trainer.remove_callback(PrinterCallback)
    _keep_what_is_tracked(trainer)
    trainer.add_callback(ProgressCallback(progress, tokens, trainer.sharing))
    checkpoint = last_checkpoint(Path(trainer.args.output_dir))
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    step = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    return time.monotonic() - started, step


def _check_processes(trainer: Any) -> None:
    """The launcher may silently start fewer processes, or another strategy, than was asked for."""
    wanted = int(os.environ.get(launch.PROCESSES, "1"))
    got = trainer.accelerator.num_processes
    if got != wanted:
        raise StageError(
            f"{wanted} processes were asked for but {got} train together; check the accelerate "
            "configuration (on a CPU it starts one process only: use --processes instead)"
        )
    wanted_strategy, achieved = os.environ.get(launch.STRATEGY, ""), strategy(trainer)
    if wanted_strategy and wanted_strategy != achieved:
        raise StageError(
            f"the strategy {wanted_strategy} was asked for but training would run as {achieved}; "
            "check the accelerate configuration and the devices"
        )


def strategy(trainer: Any) -> str:
    """How the processes train together, in accelerate's words (FSDP, MULTI_GPU, ...)."""
    return str(trainer.accelerator.distributed_type.value)
