"""How much memory a training, an exploration or a scoring takes: a shape in, bytes out.

Arithmetic over what PyTorch keeps, nothing is loaded or run. The bytes per token of a layer are
those that autograd saves (counted with ``saved_tensors_hooks``, which a test does again); the rest
is what lies in memory at the same time. On a CPU the libraries and the command itself are part of
it, because resident memory is what people see there; on a GPU they are not.

A forecast is the sum at the moment of most memory, in named parts. It speaks of one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tratree_cli.models.shapes import ModelShape

Task = Literal["train", "play", "score"]

FLOAT32, BFLOAT16 = 4, 2
"""Bytes of a number."""
MIB = 1 << 20
LIBRARIES: Mapping[Task, int] = {"train": 500 * MIB, "play": 420 * MIB, "score": 360 * MIB}
"""Resident memory on a CPU before there is a model: Python, PyTorch, transformers, TRL for a
training, an environment with its embedded data for playing; the locked versions on Linux."""
CHUNK = 16_384
"""Tokens that the local engine reads in one pass at most."""
SHARED_CHUNK = 2_048
"""The same where what all begin with is read once (``agents.local.packed_passes``)."""
SMALL_CHUNK = 1_024
"""The same for models whose pass is ``agents.local.llama``."""
SMALL = 20_000_000
"""Numbers of the largest model that it serves."""
PIECE = 8_192
"""Distinct tokens of a scoring pass."""
PIECE_LOGITS = 1 << 26
"""Logits that a scoring pass holds at once."""
OF_LOGITS = 4
"""Copies of the scored positions' logits at once: the logits, their logarithms, and two results of
the entropy; the backward pass holds three."""


@dataclass(frozen=True)
class Forecast:
    """The most memory that something takes: ``parts`` in bytes, which lie there together.

    ``at_most`` where the lengths of texts are not known yet and the limits stand for them.
    """

    device: str
    parts: Mapping[str, int]
    at_most: bool = False

    @property
    def total(self) -> int:
        return sum(self.parts.values())


@dataclass(frozen=True)
class Rows:
    """What a forward pass reads: ``rows`` of ``longest`` tokens (padding included).

    ``scored`` of all their tokens enter the loss, ``known`` says whether texts were counted.
    """

    rows: int
    longest: int
    scored: int
    known: bool = True

    @property
    def tokens(self) -> int:
        return self.rows * self.longest


@dataclass(frozen=True)
class Training:
    """What decides a training's memory beside the model's shape.

    ``accumulates`` where several passes make one step, ``reference`` where a second model is in
    memory, ``shards`` processes that divide weights, gradients and states among them (FSDP, ZeRO).
    """

    rows: Rows
    device: str = "cpu"
    bfloat16: bool = False
    rank: int = 0
    merged: bool = True
    checkpointing: bool = False
    accumulates: bool = False
    reference: bool = False
    shards: int = 1
    exact: bool = False


def training_memory(shape: ModelShape, task: Training) -> Forecast:
    """The most memory of a training with AdamW.

    Trained weights, their gradients and states are float32; a frozen base is in the type of the
    arithmetic, or float32 too where that would lose what it was taught (``exact``). Without
    accumulation gradients come as activations go, so the larger counts.
    """
    on_gpu = task.device != "cpu"
    frozen = BFLOAT16 if task.bfloat16 and task.rank and not task.exact else FLOAT32
    trained = shape.adapter(task.rank) if task.rank else shape.weights
    weights = shape.weights * frozen // task.shards
    gradients, states = (trained * n * FLOAT32 // task.shards for n in (1, 2))
    activations = activation_bytes(shape, task)
    logits = 0 if on_gpu else OF_LOGITS * task.rows.scored * shape.vocabulary * FLOAT32
    if not task.accumulates:
        # The head's gradient is there first, the last layer's when the activations are gone.
        first = shape.embedding * FLOAT32 if not task.rank and shape.tied else 0
        if activations + logits + first >= gradients:
            gradients = first
        else:
            activations, logits = activations // max(shape.layers, 1), 0
    parts = {"weights": weights}
    if task.rank:
        parts["adapter"] = trained * FLOAT32
    if task.reference:
        parts["reference model"] = shape.weights * frozen
    parts |= {
        "gradients": gradients,
        "optimizer states": states,
        "activations": activations,
        "logits": logits,
    }
    if not on_gpu:
        parts["libraries"] = LIBRARIES["train"]
        if task.rank and task.merged:
            parts = max(parts, _merging(shape, parts), key=lambda held: sum(held.values()))
    return Forecast(task.device, parts, at_most=not task.rows.known)


def _merging(shape: ModelShape, parts: Mapping[str, int]) -> dict[str, int]:
    """What lies in memory while an adapter is added to the weights of its base in float32."""
    held = {name: size for name, size in parts.items() if name not in ("activations", "logits")}
    return held | {"merged model": shape.weights * FLOAT32}


def activation_bytes(shape: ModelShape, task: Training) -> int:
    """What a forward pass keeps for the backward pass, or what a recomputed layer takes."""
    tokens = task.rows.tokens
    layer = tokens * saved_per_token(shape, task)
    if task.bfloat16 and not task.rank:
        layer += BFLOAT16 * shape.layer_weights  # autocast's copies of the weights
    if not task.checkpointing:
        return shape.layers * layer
    state = BFLOAT16 if task.bfloat16 and task.rank else FLOAT32
    return shape.layers * tokens * shape.hidden * state + layer


def saved_per_token(shape: ModelShape, task: Training) -> int:
    """Bytes that autograd keeps of one layer for each token.

    Float32: input and normalised input of each norm and what the linear layers read of it, queries,
    keys, values and attention's result, four numbers of the MLP's width. A frozen norm keeps its
    input alone. In bfloat16 norms stay float32, and every linear layer (or adapter) keeps a copy of
    its own of what it reads. With a padding mask a GPU's attention keeps keys and values repeated
    for each head.
    """
    hidden, inner, query = shape.hidden, shape.inner, shape.query
    key = query if task.device != "cpu" else shape.key
    attention = 2 * query + 2 * key
    more = shape.norms - 2
    sides = query + shape.key if shape.normed_heads else 0
    small = FLOAT32 * (shape.heads + shape.norms)
    adapters = 7 * task.rank
    normed = 1 if task.rank else 2
    if not task.bfloat16:
        numbers = hidden * (2 * normed + 2 + more * normed) + attention + 4 * inner
        return FLOAT32 * (numbers + sides * normed + adapters) + small
    norms = FLOAT32 * (normed * (hidden * shape.norms + sides))
    copies = 5 * hidden + (query if task.rank else 0)
    return norms + BFLOAT16 * (copies + attention + 4 * inner + adapters) + small


@dataclass(frozen=True)
class Playing:
    """What decides the memory of playing: conversations at once and their tokens in all.

    ``tokens`` is what the cache holds in the end, ``opening`` the longest text that is read first;
    ``shared`` where what all begin with is read once.
    """

    conversations: int
    tokens: int
    opening: int
    device: str = "cpu"
    bfloat16: bool = False
    workers: int = 1
    known: bool = True
    shared: bool = False


def kv_bytes(shape: ModelShape, tokens: int, number: int, *, windows: bool = False) -> int:
    """Bytes of the keys and values of one conversation of ``tokens`` tokens.

    With ``windows`` layers that look back a window keep no more than that, as servers do; the local
    engine keeps all and masks the older ones.
    """
    per_layer = 2 * shape.key * number
    cut = min(tokens, shape.window) if windows and shape.window else tokens
    whole = shape.layers - (shape.windowed if windows else 0)
    return per_layer * (whole * tokens + (shape.layers - whole) * cut)


def playing_memory(shape: ModelShape, task: Playing) -> Forecast:
    """The most memory of the local engine in one process, times the processes on a CPU."""
    number = BFLOAT16 if task.bfloat16 else FLOAT32
    on_gpu = task.device != "cpu"
    limit = SMALL_CHUNK if shape.weights <= SMALL and not on_gpu else CHUNK
    limit = SHARED_CHUNK if task.shared else limit
    chunk = min(limit, max(1, task.conversations) * task.opening)
    rows = max(1, min(task.conversations, chunk // max(task.opening, 1)))
    mask = (chunk if task.shared else rows * task.opening) * task.opening * number
    parts = {
        "weights": shape.weights * number,
        "keys and values": kv_bytes(shape, task.tokens, number),
        "activations": working_bytes(shape, chunk, number) + mask,
        "logits": 3 * task.conversations * shape.vocabulary * FLOAT32,
    }
    if on_gpu:
        parts["cache as it grows"] = kv_bytes(shape, _columns_before(task), number)
    else:
        parts["libraries"] = LIBRARIES["play"]
    each = {name: size * task.workers for name, size in parts.items()}
    return Forecast(task.device, each, at_most=not task.known)


def _columns_before(task: Playing) -> int:
    """Tokens for which a GPU's cache had room before its last growth, which copies it.

    It doubles until it grows by 1,024 columns at a time (``agents.local.kv_cache``).
    """
    columns = -(-task.tokens // max(1, task.conversations))
    return max(1, task.conversations) * max(columns // 2, columns - 1024)


def working_bytes(shape: ModelShape, tokens: int, number: int) -> int:
    """What a forward pass without gradients has in memory at once: a layer's own results."""
    mlp = 3 * shape.inner + 2 * shape.hidden
    attention = 4 * shape.hidden + 2 * shape.query + 4 * shape.key
    return tokens * number * max(mlp, attention)


def scoring_memory(
    shape: ModelShape, rows: Rows, *, device: str = "cpu", bfloat16: bool = False
) -> Forecast:
    """The most memory of scoring rows with a model that is not trained."""
    number = BFLOAT16 if bfloat16 else FLOAT32
    tokens = min(max(PIECE, rows.longest), rows.tokens)
    at_once = min(PIECE_LOGITS, rows.scored * shape.vocabulary)
    parts = {
        "weights": shape.weights * number,
        "activations": working_bytes(shape, tokens, number),
        "logits": 2 * at_once * FLOAT32,
    }
    if device == "cpu":
        parts["libraries"] = LIBRARIES["score"]
    return Forecast(device, parts, at_most=not rows.known)


def conversations_at_once(
    shape: ModelShape, free: int, longest: int, *, device: str, bfloat16: bool, most: int
) -> int:
    """How many conversations of ``longest`` tokens fit into ``free`` bytes: a power of two.

    At least 1, at most ``most``. A tenth of the memory stays free.
    """

    def needed(rows: int) -> int:
        task = Playing(rows, rows * longest, longest, device=device, bfloat16=bfloat16)
        return playing_memory(shape, task).total

    rows = 1
    while 2 * rows <= most and needed(2 * rows) <= free * 9 // 10:
        rows *= 2
    return rows
