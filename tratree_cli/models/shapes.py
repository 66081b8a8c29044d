"""The shape of a causal language model, read from its ``config.json``; arithmetic alone.

Nothing is loaded, so a model of 70 billion weights costs as little as a small one. The shapes of
the models that recipes name are kept here, because a plan must not download anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratree_cli.models.folder_checks import read_config

TIED_FAMILIES = ("gemma", "gemma2", "gemma3", "gemma3_text")
"""Whose output head is the embedding unless ``config.json`` says otherwise."""
FOUR_NORMS = ("gemma2", "gemma3", "gemma3_text")
"""Whose layers normalise what attention and MLP return as well."""
NORMED_HEADS = ("gemma3", "gemma3_text", "qwen3")
"""Whose queries and keys are normalised."""
BIASED_QKV = ("qwen2",)


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a decoder whose layers are attention and a gated MLP.

    ``window`` is how far the ``windowed`` layers look back, in tokens (0: there are none).
    ``embedding`` counts the numbers of one embedding matrix.
    """

    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    positions: int
    tied: bool = False
    norms: int = 2
    normed_heads: bool = False
    biased: bool = False
    window: int = 0
    windowed: int = 0

    @property
    def query(self) -> int:
        """Width of all queries of a layer."""
        return self.heads * self.head

    @property
    def key(self) -> int:
        """Width of all keys, and of all values, of a layer."""
        return self.kv_heads * self.head

    @property
    def linear(self) -> tuple[tuple[int, int], ...]:
        """(in, out) of the linear layers of one layer, which are those with an adapter."""
        hidden, query, key, inner = self.hidden, self.query, self.key, self.inner
        attention = ((hidden, query), (hidden, key), (hidden, key), (query, hidden))
        return (*attention, (hidden, inner), (hidden, inner), (inner, hidden))

    @property
    def layer_weights(self) -> int:
        """Numbers of one layer."""
        linear = sum(first * second for first, second in self.linear)
        norms = self.norms * self.hidden + (2 * self.head if self.normed_heads else 0)
        return linear + norms + (self.query + 2 * self.key if self.biased else 0)

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def weights(self) -> int:
        """Numbers of the whole model."""
        matrices = 1 if self.tied else 2
        return matrices * self.embedding + self.layers * self.layer_weights + self.hidden

    def adapter(self, rank: int) -> int:
        """Numbers of an adapter of this rank on every linear layer but the head."""
        return self.layers * rank * sum(first + second for first, second in self.linear)


def shape_of(config: Mapping[str, Any]) -> ModelShape | None:
    """The shape that ``config.json`` describes; None where it describes another kind of model.

    What a file leaves out is as transformers has it for the family.
    """
    inner = config.get("text_config")
    text = {**config, **inner} if isinstance(inner, dict) else dict(config)
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    sizes = [text.get(name) for name in (*names, "vocab_size")]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        return None
    hidden, mlp, layers, heads, vocabulary = (int(size or 0) for size in sizes)
    family = str(text.get("model_type", ""))
    window, windowed = _windows(text, layers)
    return ModelShape(
        hidden=hidden,
        inner=mlp,
        layers=layers,
        heads=heads,
        kv_heads=_whole(text.get("num_key_value_heads"), heads),
        head=_whole(text.get("head_dim"), hidden // heads),
        vocabulary=vocabulary,
        positions=_whole(text.get("max_position_embeddings"), 0),
        tied=bool(text.get("tie_word_embeddings", family in TIED_FAMILIES)),
        norms=4 if family in FOUR_NORMS else 2,
        normed_heads=family in NORMED_HEADS,
        biased=family in BIASED_QKV or bool(text.get("attention_bias")),
        window=window,
        windowed=windowed,
    )


def _whole(value: Any, otherwise: int) -> int:
    """``value`` where it is a number of things; what people write there may be anything."""
    return value if isinstance(value, int) and value > 0 else otherwise


def _windows(text: Mapping[str, Any], layers: int) -> tuple[int, int]:
    """How far layers with a window look back, and how many there are."""
    window = text.get("sliding_window")
    if not isinstance(window, int) or text.get("use_sliding_window") is False:
        return 0, 0
    kinds = text.get("layer_types")
    if isinstance(kinds, list):
        return window, sum(kind == "sliding_attention" for kind in kinds)
    every = text.get("sliding_window_pattern")
    if isinstance(every, int) and every > 0:
        return window, layers - layers // every
    return window, layers


def folder_shape(folder: Path) -> ModelShape | None:
    """The shape of the model in ``folder``, without opening its weights."""
    file = folder / "config.json"
    return shape_of(read_config(file)) if file.is_file() else None


def known_shape(name: str) -> ModelShape | None:
    """The shape of a hub model that recipes name, whether it is on this machine or not."""
    return KNOWN.get(name.partition("@")[0])


def _smollm2(hidden: int, inner: int, layers: int, heads: int, kv_heads: int) -> ModelShape:
    return ModelShape(hidden, inner, layers, heads, kv_heads, 64, 49152, 8192, tied=True)


def _llama2(hidden: int, inner: int, layers: int, heads: int, kv_heads: int) -> ModelShape:
    return ModelShape(hidden, inner, layers, heads, kv_heads, 128, 32000, 4096)


def _qwen(
    hidden: int, inner: int, layers: int, heads: int, kv_heads: int, words: int, tied: bool
) -> ModelShape:
    return ModelShape(
        hidden, inner, layers, heads, kv_heads, 128, words, 32768, tied=tied, biased=True
    )


KNOWN = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": _smollm2(576, 1536, 30, 9, 3),
    "HuggingFaceTB/SmolLM2-360M-Instruct": _smollm2(960, 2560, 32, 15, 5),
    "Qwen/Qwen2.5-1.5B-Instruct": _qwen(1536, 8960, 28, 12, 2, 151936, True),
    "Qwen/Qwen2.5-3B-Instruct": _qwen(2048, 11008, 36, 16, 2, 151936, True),
    "Qwen/Qwen2.5-7B-Instruct": _qwen(3584, 18944, 28, 28, 4, 152064, False),
    "Qwen/Qwen2.5-14B-Instruct": _qwen(5120, 13824, 48, 40, 8, 152064, False),
    "meta-llama/Llama-2-7b-chat-hf": _llama2(4096, 11008, 32, 32, 32),
    "meta-llama/Llama-2-13b-chat-hf": _llama2(5120, 13824, 40, 40, 40),
    "meta-llama/Llama-2-70b-chat-hf": _llama2(8192, 28672, 80, 64, 8),
    "meta-llama/Meta-Llama-3-8B-Instruct": ModelShape(4096, 14336, 32, 32, 8, 128, 128256, 8192),
    "meta-llama/Meta-Llama-3-70B-Instruct": ModelShape(8192, 28672, 80, 64, 8, 128, 128256, 8192),
}
"""Sizes from the published ``config.json`` files."""
