"""Where a model computes: device, precision, threads, and what is said when memory runs out.

Of the training libraries only PyTorch is imported here, so that scoring a reference does not pay
for trainers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tratree_cli.errors import InputError, StageError, is_out_of_memory
from tratree_cli.training.params import LOWER, TrainingParams


def choose_device(device: str) -> str:
    """``cuda``, ``mps`` or ``cpu``; ``InputError`` when the one asked for is not there."""
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return "cuda"
    if device in ("auto", "mps") and torch.backends.mps.is_available():
        return "mps"
    if device.startswith("cuda:"):
        raise InputError(
            f"--device {device}: a training takes the GPUs it sees; choose with "
            f"CUDA_VISIBLE_DEVICES={device[5:]} --device cuda"
        )
    if device not in ("auto", "cpu"):
        raise InputError(f"there is no device '{device}' here; use --device cpu or --device auto")
    return "cpu"


def own_device(device: str) -> str:
    """The device of this very process: each of several has a GPU of its own."""
    chosen = choose_device(device)
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if chosen == "cuda" else chosen


def precision(config: TrainingParams) -> str:
    """In what is computed: bfloat16 on a GPU that can, unless the parameters say otherwise."""
    device = choose_device(config.device)
    if config.dtype != "auto":
        return config.dtype
    return "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def weight_dtype(config: TrainingParams) -> str:
    """In what the weights are held: frozen weights may be bfloat16, trained ones stay float32."""
    return precision(config) if config.lora else "float32"


def world_size() -> int:
    """Processes that train together (set by the launcher)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """``count`` CPU threads inside the block; the number changes the trained bytes."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def enough_memory() -> Iterator[None]:
    """Running out of memory inside the block is a ``StageError`` that says what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise StageError(f"not enough memory to train; {LOWER}") from error
