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


def precision(device: str, dtype: str = "auto") -> str:
    """In what is computed: ``dtype``; for ``auto`` bfloat16 on a GPU that can, else float32."""
    chosen = choose_device(device)
    if dtype != "auto":
        return dtype
    return "bfloat16" if chosen == "cuda" and torch.cuda.is_bf16_supported() else "float32"


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
def enough_memory(advice: str) -> Iterator[None]:
    """Running out of memory inside the block is a ``StageError`` with ``advice`` on what to do."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise StageError(f"not enough memory to train; {advice}") from error
