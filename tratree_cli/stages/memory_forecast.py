"""What the nodes that compute with models will take of memory: the figures of ``--dry-run``.

From a node's parameters and the sizes in a model's ``config.json`` (``models.memory``). Texts that
exist already are counted; where they do not the limits stand for them, and the figure is the most
that it can be. Nothing heavy is imported and nothing is downloaded.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from tratree_cli.agents.registry import LOCAL, backend_of
from tratree_cli.config import Config
from tratree_cli.models.embedded import SHAPES
from tratree_cli.models.free_memory import device_memory
from tratree_cli.models.held import held_dtype
from tratree_cli.models.memory import (
    Forecast,
    Playing,
    Rows,
    Training,
    playing_memory,
    scoring_memory,
    training_memory,
)
from tratree_cli.models.shapes import ModelShape, folder_shape, known_shape
from tratree_cli.pipeline.graph import Found, Node, Options
from tratree_cli.resources import templates_dir
from tratree_cli.sections import DpoSection, SftSection, TrainingSection
from tratree_cli.stages.distributed import process_count
from tratree_cli.stages.sampling import MODEL
from tratree_cli.stages.text_lengths import (
    RowLength,
    at_the_limit,
    conversation_lengths,
    conversations_in,
    longest_batch,
    message_tokens,
    pair_sides,
    shared_batch,
)

LONGER = 1.25
"""Tokens of a played conversation over those of a demonstrated one, where these are known."""
ADAPTER = "adapter_config.json"
WORTH_IT = 1.5
"""As ``training.tree_packing.scorer`` has it, which imports PyTorch."""


def of_training(node: Node, options: Options, found: Found) -> Forecast | None:
    """A node of ``sft``, ``sft-auto`` or ``train-strong``."""
    params, folder = node.params, model_folder(node, "init", found)
    shape = shape_in(folder)
    if shape is None:
        return None
    training: TrainingSection = params.sft if hasattr(params, "sft") else params.training
    dpo: DpoSection | None = getattr(params, "dpo", None)
    schedule = dpo if dpo is not None else training
    assert isinstance(schedule, DpoSection | SftSection), "imitation has a schedule of its own"
    share = max(1, schedule.batch_size // process_count(params.world))
    micro = min(training.micro_batch or share, share)
    device = device_of(options.device)
    limit = _limit(shape, training)
    rows = _rows(node, found, folder, training, micro, dpo is not None, limit)
    if getattr(params, "joint", None) is not None:
        # As many paths as pairs in every update.
        paths = _rows(node, found, folder, training, micro, False, limit)
        rows = _together(rows, paths)
    live = (dpo is not None and dpo.explicit_kl) or "diverge_from" in node.inputs
    return training_memory(
        shape,
        Training(
            rows=rows,
            device=device,
            bfloat16=computes_in_bfloat16(training.dtype, device),
            rank=training.lora_r,
            merged=training.lora_merge,
            checkpointing=training.gradient_checkpointing,
            accumulates=micro < share,
            reference=live,
            exact=any(_held_exactly(source, found) for source in node.inputs.get("init", ())),
        ),
    )


def _held_exactly(source: Any, found: Found) -> bool:
    """Whether a trained model is not held in bfloat16; of one that is not there yet: yes."""
    entry = found(source) if isinstance(source, Node) else source
    return entry is None or held_dtype(Path(entry.path), "bfloat16") != "bfloat16"


def of_playing(node: Node, options: Options, found: Found) -> Forecast | None:
    """A node of ``explore`` or ``eval``: one policy is in memory at a time, the largest counts."""
    params = node.params
    engine = params.engine
    if engine.backend != LOCAL:
        return None
    folders = [model_folder(source, "init", found) for source in node.inputs.get("policy", ())]
    folders += [_outside(name, options) for name in params.policies if name.startswith("base:")]
    shapes = [(shape, folder) for folder in folders if (shape := shape_in(folder)) is not None]
    if not shapes or len(shapes) < sum(
        backend_of(n) is None or n == MODEL for n in params.policies
    ):
        return None
    device = device_of(options.device)
    limit = min([engine.max_context, *(s.positions for s, _ in shapes if s.positions)])
    tasks = [n for n in (params.tasks, len(getattr(params, "task_ids", ()))) if n]
    at_once = min([engine.block, *tasks])
    workers = options.workers if device == "cpu" else 1
    forecasts = []
    for shape, folder in shapes:
        lengths = _demonstrated(node, found, folder, limit)
        mean = sum(row.tokens for row in lengths) // len(lengths) if lengths else 0
        tokens = min(limit, round(mean * LONGER)) if mean else limit
        opening = min(limit, max((row.tokens for row in lengths), default=limit) // 2)
        again = (at_once - 1) * _kept_once(node, folder, tokens)
        forecasts.append(
            playing_memory(
                shape,
                Playing(
                    conversations=at_once,
                    tokens=at_once * tokens - again,
                    opening=opening,
                    device=device,
                    bfloat16=computes_in_bfloat16(engine.dtype, device),
                    workers=workers,
                    known=bool(mean),
                    shared=engine.reading == "shared",
                ),
            )
        )
    return max(forecasts, key=lambda forecast: forecast.total)


def _kept_once(node: Node, folder: Path | str | None, longest: int) -> int:
    """Tokens of a conversation that the local engine keeps once for all of them."""
    from tratree_cli.stages.environments import prompt_folder, read_prompt

    config = node.config
    shared = node.params.engine.reading == "shared"
    if not shared or not isinstance(folder, Path) or not isinstance(config, Config):
        return 0
    prompt = read_prompt(prompt_folder(config), turns=True)
    return min(longest, message_tokens(folder, prompt))


def of_scoring(node: Node, options: Options, found: Found) -> Forecast | None:
    """A node of ``ref-logps``."""
    params, folder = node.params, model_folder(node, "model", found)
    shape = shape_in(folder)
    if shape is None:
        return None
    device = device_of(options.device)
    limit = min(filter(None, (params.max_length, shape.positions)), default=shape.positions)
    rows = _pair_rows(node, found, folder, 1 << 30, limit, params.too_long == "drop")
    return scoring_memory(
        shape,
        rows or at_the_limit(64, limit),
        device=device,
        bfloat16=computes_in_bfloat16(params.dtype, device),
    )


def model_folder(source: Any, role: str, found: Found, depth: int = 0) -> Path | str | None:
    """Where the sizes of the model stand that ``source`` is, or starts from.

    An artifact's own folder or that of its adapter's base; of a node that was not computed yet the
    model that it trains. A name of the hub is returned as it is.
    """
    entry = found(source) if depth else None
    if entry is not None or not isinstance(source, Node):
        entry = entry or source
        return Path(entry.path)
    for name in source.locations.base_models if "base" in source.models else ():
        return base_place(name)
    for before in source.inputs.get(role, ()) or source.inputs.get("init", ()):
        return model_folder(before, "init", found, depth + 1)
    return None


def base_place(name: str) -> Path | str:
    """The folder of a base model, or its name on the hub."""
    if name in SHAPES:
        return templates_dir() / "models" / name
    return Path(name) if Path(name).is_dir() else name


def _adapter_base(folder: Path) -> Path | None:
    from tratree_cli.errors import InputError
    from tratree_cli.models.load import adapter_base

    try:
        return adapter_base(folder).folder
    except InputError:
        return None


def shape_in(place: Path | str | None) -> ModelShape | None:
    """The shape of the model in a folder, or on the hub as far as it is known or was fetched."""
    if place is None:
        return None
    if isinstance(place, Path) and (place / ADAPTER).is_file():
        place = _adapter_base(place)
    if isinstance(place, Path) and place.is_dir():
        return folder_shape(place)
    name = str(place)
    if (shape := known_shape(name)) is not None:
        return shape
    import huggingface_hub

    file = huggingface_hub.try_to_load_from_cache(name.partition("@")[0], "config.json")
    return folder_shape(Path(file).parent) if isinstance(file, str) else None


@lru_cache(maxsize=8)
def device_of(wanted: str) -> str:
    """The device that ``wanted`` means here; the driver is asked once for a whole plan."""
    return device_memory(wanted).device


def _outside(name: str, options: Options) -> Path | str | None:
    from tratree_cli.models.template_arguments import files_of

    place = options.policies.get(files_of(name))
    return None if place is None else base_place(place)


def computes_in_bfloat16(dtype: str, device: str) -> bool:
    """Whether ``dtype`` means bfloat16 on ``device``, as ``models.devices.precision`` has it."""
    return dtype == "bfloat16" or (dtype == "auto" and device.startswith("cuda"))


def _limit(shape: ModelShape, training: TrainingSection) -> int:
    return min(filter(None, (training.max_length, shape.positions)), default=4096)


def _rows(
    node: Node,
    found: Found,
    folder: Path | str | None,
    training: TrainingSection,
    micro: int,
    pairs: bool,
    limit: int,
) -> Rows:
    """The rows of a forward pass: of the longest texts where they are there, else at the limit."""
    dropped = training.too_long == "drop"
    if pairs:
        shared = _packed_pairs(node, found, folder, training, micro)
        if shared is not None:
            return shared
        known = _pair_rows(node, found, folder, micro, limit, dropped)
        return known or at_the_limit(2 * micro, limit)
    packed = getattr(training, "packing", False)
    lengths = _conversations(node, found, folder, limit, dropped)
    known = longest_batch(lengths, micro)
    if known is None:
        return at_the_limit(micro, limit)
    return Rows(micro, known.longest, known.scored) if packed else known


def _together(first: Rows, second: Rows) -> Rows:
    """Two batches whose activations are kept until one backward pass."""
    tokens, scored = first.tokens + second.tokens, first.scored + second.scored
    return Rows(1, tokens, scored, first.known and second.known)


def _conversations(
    node: Node, found: Found, folder: Path | str | None, limit: int, dropped: bool
) -> list[RowLength]:
    if not isinstance(folder, Path):
        return []
    kind, entry = next(
        ((role, entry) for role in ("paths", "demos") if (entry := _entry(node, role, found))),
        ("", None),
    )
    messages = conversations_in(entry.path, kind, entry.size) if entry is not None else None
    return conversation_lengths(folder, messages, limit, dropped) if messages else []


def _pair_rows(
    node: Node, found: Found, folder: Path | str | None, micro: int, limit: int, dropped: bool
) -> Rows | None:
    """Both sides of the longest pairs."""
    entry = _entry(node, "pairs", found)
    if entry is None or not isinstance(folder, Path):
        return None
    sides = pair_sides(entry.path, entry.size)
    if not sides:
        return None
    lengths = conversation_lengths(
        folder, [side for both in sides for side in both], limit, dropped
    )
    known = longest_batch(lengths, min(2 * micro, 2 * len(sides)))
    if known is None:
        return None
    # Only what follows the divergence is scored, which is at most the continuation.
    return Rows(min(2 * micro, 2 * len(sides)), known.longest, known.scored)


def _packed_pairs(
    node: Node, found: Found, folder: Path | str | None, training: TrainingSection, micro: int
) -> Rows | None:
    """The pairs as trees, where training computes them so (``tree_packing.decision``)."""
    entry, mode = _entry(node, "pairs", found), node.params.dpo.tree_packing
    plain = training.attention in ("auto", "sdpa") and not (
        training.lora_r and training.lora_dropout
    )
    if entry is None or not isinstance(folder, Path) or mode == "off":
        return None
    if mode == "auto" and not plain:
        return None
    sides = pair_sides(entry.path, entry.size)
    return shared_batch(folder, sides, micro, WORTH_IT if mode == "auto" else 0) if sides else None


def _demonstrated(
    node: Node, found: Found, folder: Path | str | None, limit: int
) -> list[RowLength]:
    """The demonstrations of the environment, which say how long its conversations are."""
    if not isinstance(folder, Path):
        return []
    for role in ("demos", "policy", "init"):
        for source in node.inputs.get(role, ()):
            if role == "demos":
                known = _conversations(node, found, folder, limit, dropped=False)
            else:
                known = (
                    _demonstrated(source, found, folder, limit) if isinstance(source, Node) else []
                )
            if known:
                return known
    return []


def _entry(node: Node, role: str, found: Found) -> Any:
    return next((found(source) for source in node.inputs.get(role, ())), None)
