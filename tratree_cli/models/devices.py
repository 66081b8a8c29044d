"""Where a model computes: device, precision, threads, and the error when memory runs out.

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
    """``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``InputError`` when the one named is not there.

    ``auto`` is CUDA's first GPU, else Apple's, else the CPU. ``cuda:1`` is the second GPU.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = {"cuda": gpus, "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    if device == "auto":
        return next(kind for kind, count in there.items() if count)
    kind, colon, number = device.partition(":")
    if (colon and not number.isdecimal()) or int(number or 0) >= there.get(kind, 0):
        raise InputError(f"there is no device '{device}' here; use --device cpu or --device auto")
    return device


def worker_device(device: str, worker: int) -> str:
    """The device of worker number ``worker`` of an exploration: the GPUs in turn.

    A GPU that is named by number stays; so does what is no GPU.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return f"cuda:{worker % gpus}" if device in ("auto", "cuda") and gpus > 1 else device


def own_device(device: str) -> str:
    """The device of this very process: each of several has a GPU of its own."""
    chosen = choose_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and chosen.startswith("cuda:"):
        raise InputError(
            f"--device {device} is one GPU, but each process of a training takes one of its own; "
            "choose them with CUDA_VISIBLE_DEVICES and use --device cuda"
        )
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if chosen == "cuda" else chosen


def precision(device: str, dtype: str = "auto") -> str:
    """In what is computed: ``dtype``; for ``auto`` bfloat16 on a GPU that can, else float32."""
    on_gpu = choose_device(device).startswith("cuda")
    if dtype != "auto":
        return dtype
    return "bfloat16" if on_gpu and torch.cuda.is_bf16_supported() else "float32"


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
def explain_out_of_memory(advice: str) -> Iterator[None]:
    """Running out of memory inside the block is a ``StageError`` with ``advice`` on what to do."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise StageError(f"not enough memory to train; {advice}") from error
