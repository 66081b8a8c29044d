"""What the parts share: where they compute, the shapes they make, and real models found by a path.

``TRATREE_GPU_MODELS`` is a folder with model folders, or with files in pieces of at most 60 MB
(``NAME/model.safetensors.part-00``, ...), which are joined in the scratch folder before they are
read: machines with a GPU often take no larger file.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from tratree_cli.resources import templates_dir

MODELS = "TRATREE_GPU_MODELS"
PIECE = re.compile(r"(?P<name>.+)\.part-?(?P<number>\d+)")


class SkippedError(Exception):
    """Why a part cannot be measured here."""


@dataclass(frozen=True)
class Shape:
    """A Llama with random weights; ``rows`` a step, of about ``tokens`` tokens each."""

    name: str
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int = 32000
    rows: int = 8
    tokens: int = 1000
    steps: int = 8
    rank: int = 64


SEVEN = Shape("7b", 4096, 11008, 32, 32, 32)
"""Llama-2 7B's shape (section 4.1's weak model)."""
ONE = Shape("1b", 2048, 8192, 16, 32, 8)
TOY = Shape("toy-7b", 64, 96, 1, 2, 2, vocabulary=2048, rows=2, tokens=80, steps=4, rank=4)
TOY_ONE = replace(TOY, name="toy-1b", heads=4, kv_heads=2)


@dataclass(frozen=True)
class Context:
    """``toy`` is a run on the CPU, which shows that every part works and measures nothing."""

    folder: Path
    toy: bool

    @property
    def device(self) -> str:
        return "cpu" if self.toy else "cuda"

    @property
    def seven(self) -> Shape:
        return TOY if self.toy else SEVEN

    @property
    def one(self) -> Shape:
        return TOY_ONE if self.toy else ONE

    def real(self, name: str) -> Path:
        """The real model whose folder's name contains ``name``; ``SkippedError`` without one."""
        root = os.environ.get(MODELS, "")
        if not root:
            raise SkippedError(f"{MODELS} names no folder with {name}")
        for folder in sorted(path for path in Path(root).expanduser().glob("*") if path.is_dir()):
            if name.lower() in folder.name.lower():
                return joined(folder, self.folder / folder.name)
        raise SkippedError(f"{root} ({MODELS}) has no folder of {name}")


def joined(folder: Path, into: Path) -> Path:
    """``folder``, or a copy of it in ``into`` with its pieces put together in their order."""
    pieces: dict[str, list[tuple[int, Path]]] = {}
    for path in folder.iterdir():
        if (found := PIECE.fullmatch(path.name)) is not None:
            pieces.setdefault(found["name"], []).append((int(found["number"]), path))
    if not pieces:
        return folder
    into.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file() and PIECE.fullmatch(path.name) is None:
            shutil.copy(path, into)
    for name, parts in pieces.items():
        numbers = sorted(number for number, _ in parts)
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] > 1:
            raise SkippedError(f"{folder}: a piece of {name} is missing (there are {numbers})")
        with (into / name).open("wb") as whole:
            for _, path in sorted(parts):
                with path.open("rb") as piece:
                    shutil.copyfileobj(piece, whole)
    return into


def make_model(folder: Path, shape: Shape, device: str) -> Path:
    """Random weights in bfloat16 with our tokenizer, once for all parts of a run."""
    if (folder / "tokenizer.json").is_file():
        return folder
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tratree_cli.models.load import load_tokenizer

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    load_tokenizer(templates_dir() / "models" / "tratree-s").save_pretrained(folder)
    return folder


def finish(device: str) -> None:
    """Until the device has done what it was given."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def reset_peak(device: str) -> None:
    import gc

    import torch

    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_bytes(device: str) -> float:
    """The most memory of tensors since ``reset_peak``; 0 on a CPU."""
    import torch

    return float(torch.cuda.max_memory_allocated()) if device == "cuda" else 0.0
