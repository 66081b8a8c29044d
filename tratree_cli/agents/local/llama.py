"""The forward pass of a small Llama on a CPU: transformers' bits at less cost.

A model of a million parameters spends more time between its operations than in them: modules,
hooks, decorators, and intermediate results of a long chunk that have left the processor's cache
when the next operation wants them. ``PlainLlama`` does what transformers' Llama does to every
element, in the same order, and leaves out what changes no bit:

* a long chunk is read a few rows at a time (a product of matrices gives each of its rows the same
  numbers whatever their number, except that very few rows take another kernel);
* sines and cosines are looked up by position, and queries and keys are turned together;
* what follows the last layer's attention is computed for the last tokens only.

Attention gets the shapes that the engine uses, since there they do affect the rounding.
All this is compared with transformers when a model is loaded (``local.model``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from tratree_cli.agents.local.kv_cache import RowCache

PASS_TOKENS = 1024
"""So many tokens (padding included) are read at a time: what they need stays in the cache."""
FEW = 4
"""Products of fewer rows than this take a kernel that rounds otherwise, so none are made fewer."""

LARGEST = 20_000_000
"""Parameters; larger models spend their time in arithmetic, whoever calls it."""


@dataclass(frozen=True)
class _Layer:
    """The weights of one layer, ``[out, in]`` as the model stores them."""

    before_attention: torch.Tensor
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    output: torch.Tensor
    before_mlp: torch.Tensor
    gate: torch.Tensor
    up: torch.Tensor
    down: torch.Tensor


class PlainLlama:
    """The forward pass of ``model`` (see ``fits``) for up to ``longest`` tokens a row."""

    def __init__(self, model: Any, longest: int) -> None:
        config, inner = model.config, model.model
        self._heads = int(config.num_attention_heads)
        self._scale = float(inner.layers[0].self_attn.scaling)
        self._epsilon = float(config.rms_norm_eps)
        self._embedding = inner.embed_tokens.weight
        self._last_norm = inner.norm.weight
        self._head = model.lm_head.weight
        self._layers = [
            _Layer(
                layer.input_layernorm.weight,
                layer.self_attn.q_proj.weight,
                layer.self_attn.k_proj.weight,
                layer.self_attn.v_proj.weight,
                layer.self_attn.o_proj.weight,
                layer.post_attention_layernorm.weight,
                layer.mlp.gate_proj.weight,
                layer.mlp.up_proj.weight,
                layer.mlp.down_proj.weight,
            )
            for layer in inner.layers
        ]
        self._columns = torch.arange(longest + 1)
        cosine, sine = inner.rotary_emb(self._embedding, position_ids=self._columns[None])
        half = sine.shape[-1] // 2
        self._cosine = cosine[0, :, None]
        # Turning takes the second half negative, which the table can be instead.
        self._sine = torch.cat((-sine[0, :, :half], sine[0, :, half:]), -1)[:, None]
        self._hidden = torch.tensor(float("-inf"))
        self._seen = torch.tensor(0.0)

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether ``model`` is such a Llama: float32 in main memory, nothing beside the weights."""
        if type(model).__name__ != "LlamaForCausalLM" or model.device.type != "cpu":
            return False
        if model.num_parameters() > LARGEST:
            return False
        config = model.config
        linear = [module for module in model.modules() if hasattr(module, "in_features")]
        return (
            model.dtype == torch.float32
            and config.hidden_act == "silu"
            and config.num_key_value_heads == config.num_attention_heads
            and model.model.rotary_emb.rope_type == "default"
            and all(type(module) is torch.nn.Linear and module.bias is None for module in linear)
        )

    def __call__(
        self,
        cache: RowCache,
        first: int,
        ids: torch.Tensor,
        positions: torch.Tensor,
        length: int,
    ) -> torch.Tensor:
        """See ``local.model.forward``."""
        rows, width = ids.shape
        # Parts of equal size, so that none is left over that is too small.
        count = -(-rows // max(1, PASS_TOKENS // width))
        parts = zip(ids.tensor_split(count), positions.tensor_split(count), strict=True)
        last = []
        for part, places in parts:
            last.append(self._read(cache, first, part, places, length))
            first += part.shape[0]
        hidden = last[0] if count == 1 else torch.cat(last)
        logits = functional.linear(self._norm(hidden, self._last_norm), self._head)
        return logits[:, 0]

    def _read(
        self,
        cache: RowCache,
        first: int,
        ids: torch.Tensor,
        positions: torch.Tensor,
        length: int,
    ) -> torch.Tensor:
        """What comes out of the last layer for the last token, ``[rows, 1, size]``."""
        rows, width = ids.shape
        heads = self._heads
        cache.aim(first, positions, length)
        positions = positions.clamp(min=0)
        cosine, sine = self._cosine[positions], self._sine[positions]
        later = self._columns[:length] > positions[..., None]
        bias = torch.where(later, self._hidden, self._seen)[:, None]
        state = functional.embedding(ids, self._embedding)
        for number, layer in enumerate(self._layers):
            normed = self._norm(state, layer.before_attention)
            both = torch.cat(
                (functional.linear(normed, layer.query), functional.linear(normed, layer.key)), -1
            ).view(rows, width, 2 * heads, -1)
            turned = both.roll(both.shape[-1] // 2, -1).mul_(sine)
            both = both.mul_(cosine).add_(turned)
            new = functional.linear(normed, layer.value).view(rows, width, heads, -1)
            keys, values = cache.write(
                number, both[:, :, heads:].transpose(1, 2), new.transpose(1, 2)
            )
            seen = functional.scaled_dot_product_attention(
                both[:, :, :heads].transpose(1, 2), keys, values, attn_mask=bias, scale=self._scale
            ).transpose(1, 2)
            if number == len(self._layers) - 1:
                seen, state = seen[:, -FEW:], state[:, -FEW:]
            state = state + functional.linear(seen.flatten(2), layer.output)
            normed = self._norm(state, layer.before_mlp)
            gate = functional.silu(functional.linear(normed, layer.gate), inplace=True)
            gate.mul_(functional.linear(normed, layer.up))
            state.add_(functional.linear(gate, layer.down))
        return state[:, -1:]

    def _norm(self, state: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        mean = state.pow(2).mean(-1, keepdim=True)
        return (state * mean.add_(self._epsilon).rsqrt_()).mul_(weight)
