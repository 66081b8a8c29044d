"""``explore.block = auto``: as many conversations at once as free memory holds, decided once.

The number fixes which episodes share a forward pass, so it is keyed. Free memory changes from one
command to the next, and the number must not: what was decided for a model's shape, its limits and a
kind of device is kept in the user's cache. An artifact records the number itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tratree_cli.config import Config
from tratree_cli.models.free_memory import device_memory
from tratree_cli.models.memory import BFLOAT16, FLOAT32, conversations_at_once, kv_bytes
from tratree_cli.models.shapes import ModelShape
from tratree_cli.stages.memory_forecast import base_place, computes_in_bfloat16, shape_in

UNKNOWN = 64
"""Where neither the model's sizes nor the free memory are known: the parameter's default."""
MOST = {"cpu": 64, "mps": 64}
MOST_ON_GPU = 256
"""More at once is no faster, and an interrupted shard costs more."""


@dataclass(frozen=True)
class ResolvedBlock:
    """The number, and the sentence that says where it comes from."""

    block: int
    sentence: str


def resolve_block(config: Config, device: str, workers: int) -> ResolvedBlock:
    """The block for the larger of the configuration's two models on ``device``."""
    names = dict.fromkeys((config.models.weak, config.models.strong))
    shapes = {name: shape_in(base_place(name)) for name in names}
    memory = device_memory(device)
    known = [shape for shape in shapes.values() if shape is not None]
    if len(known) < len(shapes) or memory.free is None:
        missing = [name for name, shape in shapes.items() if shape is None]
        unknown = f"the sizes of {', '.join(missing)}" if missing else "free memory"
        return ResolvedBlock(UNKNOWN, _sentence(UNKNOWN, f"{unknown} cannot be told here"))
    kind = memory.device.partition(":")[0]
    bfloat16 = computes_in_bfloat16(config.explore.dtype, memory.device)
    share = memory.free // (workers if kind == "cpu" else 1)
    number = BFLOAT16 if bfloat16 else FLOAT32
    limits = {shape: _longest(shape, config.explore.max_context) for shape in known}
    shape = max(known, key=lambda one: kv_bytes(one, limits[one], number))
    question = {
        "shapes": [asdict(one) for one in known],
        "max_context": config.explore.max_context,
        "bfloat16": bfloat16,
        "device": kind,
        "workers": workers,
    }
    found = _remembered(question)
    where = f"{kv_bytes(shape, 1, number):,} bytes of keys and values a token"
    if found is not None:
        return ResolvedBlock(found, _sentence(found, f"{where}, as decided before"))
    block = min(
        conversations_at_once(
            one,
            share,
            limits[one],
            device=memory.device,
            bfloat16=bfloat16,
            most=MOST.get(kind, MOST_ON_GPU),
        )
        for one in known
    )
    _remember(question, block)
    free = f"{memory.free / 1e9:.1f} GB free on {memory.device}"
    return ResolvedBlock(block, _sentence(block, f"{where}, {free}"))


def _longest(shape: ModelShape, max_context: int) -> int:
    return min(max_context, shape.positions or max_context)


def _sentence(block: int, why: str) -> str:
    return f"explore.block = {block}, chosen by auto ({why}); --set explore.block=N fixes it"


def _place(question: Mapping[str, Any]) -> Path:
    root = os.environ.get("TRATREE_CACHE") or Path.home() / ".cache" / "tratree"
    name = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]
    return Path(root) / "explore-block" / name


def _remembered(question: Mapping[str, Any]) -> int | None:
    try:
        block = int(_place(question).read_text("ascii"))
    except (OSError, ValueError):
        return None
    return block if block >= 1 else None


def _remember(question: Mapping[str, Any], block: int) -> None:
    place = _place(question)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_suffix(f".{os.getpid()}")
        fresh.write_text(str(block), "ascii")
        fresh.replace(place)
    except OSError:
        pass  # A cache that cannot be written costs a decision of its own for each command.
