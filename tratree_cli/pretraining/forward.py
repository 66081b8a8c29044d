"""The Llama forward pass, written out for training on a CPU.

It reads the weights of a ``LlamaForCausalLM`` and gives its hidden states (a test compares them),
but fuses what the library keeps apart, accepts rows that hold several documents, and can be
compiled: about twice the tokens per second, which decides what a base model can learn in an hour.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from tratree_cli.models.embedded import HEAD
from tratree_cli.pretraining.model import ROPE_THETA


def rotations(length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of the rotary embedding, each of shape (length, head)."""
    inverse = ROPE_THETA ** (-torch.arange(0, HEAD, 2, dtype=torch.float32) / HEAD)
    angles = torch.arange(length, dtype=torch.float32)[:, None] * inverse
    return torch.cat([angles.cos()] * 2, -1), torch.cat([angles.sin()] * 2, -1)


def hidden_states(
    model: Any, tokens: torch.Tensor, mask: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor
) -> torch.Tensor:
    """Last hidden states, (batch, length, width), for ``tokens`` (batch, length).

    ``mask`` (batch, 1, length, length) is added to the attention scores: 0 where a position may
    look, -inf where not (the future, other documents of the row).
    """
    batch, length = tokens.shape
    core = model.model
    state = F.embedding(tokens, core.embed_tokens.weight)
    width = state.shape[-1]
    for layer in core.layers:
        attention, mlp = layer.self_attn, layer.mlp
        inner = F.rms_norm(state, (width,), layer.input_layernorm.weight, 1e-5)
        joint = torch.cat(
            [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
        )
        mixed = F.linear(inner, joint).view(batch, length, 3, -1, HEAD)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        query = query * cosine + _rotated(query) * sine
        key = key * cosine + _rotated(key) * sine
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        seen = seen.transpose(1, 2).reshape(batch, length, width)
        state = state + F.linear(seen, attention.o_proj.weight)
        inner = F.rms_norm(state, (width,), layer.post_attention_layernorm.weight, 1e-5)
        gate, up = F.linear(inner, torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])).chunk(
            2, -1
        )
        state = state + F.linear(F.silu(gate) * up, mlp.down_proj.weight)
    return F.rms_norm(state, (width,), core.norm.weight, 1e-5)


def _rotated(x: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([-second, first], -1)
