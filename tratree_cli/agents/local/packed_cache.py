"""Keys and values of conversations that begin with the same text, which is kept once.

What all conversations share (a prompt's instructions and example) is read by itself and lies in
``shared``, ``[layers, 2, heads, tokens, head size]``; every conversation's own tokens lie in a row
of a ``RowCache``, whose columns count from where the shared text ends. With a prompt of 1,400
tokens and 600 of a conversation's own, sixteen conversations keep 11,000 tokens instead of 32,000.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from tratree_cli.agents.local.kv_cache import RowCache


class PackedCache:
    """``own`` rows of up to ``longest`` tokens, and one shared beginning of ``shared_length``."""

    def __init__(self, layers: int, *, longest: int = 0, paged: bool = False) -> None:
        self.layers = layers
        self.own = RowCache(layers, longest=longest, paged=paged)
        self.shared: torch.Tensor | None = None
        self.shared_length = 0
        self.view = Cache(layers=[_PassedOn() for _ in range(layers)])

    def forget_shared(self) -> None:
        """Make room for another beginning."""
        self.shared, self.shared_length = None, 0

    def write_shared(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keep one layer of the shared text: ``[heads, tokens, size]``."""
        if self.shared is None:
            shape = (self.layers, 2, *keys.shape)
            self.shared = torch.zeros(shape, dtype=keys.dtype, device=keys.device)
            self.shared_length = keys.shape[1]
        self.shared[layer, 0], self.shared[layer, 1] = keys, values

    def shared_of(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the shared text, ``[heads, tokens, size]``."""
        assert self.shared is not None, "it was read before what follows it"
        return self.shared[layer, 0], self.shared[layer, 1]


class _PassedOn(CacheLayerMixin):
    """One layer for transformers: new keys and values go on to the attention, which keeps them."""

    is_sliding = False

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_seq_length(self) -> int:
        return 0

    def get_max_length(self) -> int:
        return -1
