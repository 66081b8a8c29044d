"""Attention over a trie, one segment after another: what each row adds, to the whole of its path.

A segment is the run of nodes that a row adds to its trie. Its queries attend to the nodes of the
row's path up to themselves, so attention costs distinct tokens times path length, not the square of
the distinct tokens, and no mask of the whole trie is ever made. Tries lie one after the other in
one sequence, without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tratree_cli.training.tree_packing.trie import TokenTrie

NAME = "tree_segments"
"""The attention implementation that a packed model is set to; plain calls of it are SDPA's."""
PLAN = "tree_plan"
"""The keyword by which a forward pass hands its plan to every attention layer."""


@dataclass(frozen=True)
class Segment:
    """Queries at ``begin:end`` of the packed sequence, which see the keys at ``path`` (in order).

    The last ``end - begin`` nodes of the path are the queries themselves.
    """

    begin: int
    end: int
    path: torch.Tensor

    def mask(self, window: int | None) -> torch.Tensor:
        """``[queries, keys]``, true where a query may attend."""
        queries, keys = self.end - self.begin, len(self.path)
        device = self.path.device
        ahead = torch.arange(keys - queries, keys, device=device)[:, None] - torch.arange(
            keys, device=device
        )
        allowed = ahead >= 0
        return allowed if window is None else allowed & (ahead < window)


@dataclass(frozen=True)
class Plan:
    """All tries of a forward pass: ``input_ids[1, N]``, ``position_ids[1, N]`` and segments."""

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    segments: tuple[Segment, ...]
    offsets: tuple[int, ...]
    """Where each trie's first node lies."""


def plan(tries: Sequence[TokenTrie], device: torch.device) -> Plan:
    """The tries laid out one after the other on ``device``."""
    segments: list[Segment] = []
    offsets: list[int] = []
    size = 0
    for trie in tries:
        offsets.append(size)
        begun = 0
        for path in trie.paths:
            end = int(path[-1]) + 1
            if end > begun:
                nodes = torch.from_numpy(path + size).to(device)
                segments.append(Segment(size + begun, size + end, nodes))
                begun = end
        size += len(trie)
    tokens = np.concatenate([trie.tokens for trie in tries])
    depth = np.concatenate([trie.depth for trie in tries])
    return Plan(
        torch.from_numpy(tokens)[None].to(device),
        torch.from_numpy(depth)[None].to(device),
        tuple(segments),
        tuple(offsets),
    )


def segment_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in every layer: ``[1, heads, N, d]`` to ``[1, N, heads, d]``."""
    given: Plan | None = options.pop(PLAN, None)
    if given is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **options
        )
    window = options.get("sliding_window")
    shared_keys = query.shape[1] != key.shape[1]
    parts = [
        torch.nn.functional.scaled_dot_product_attention(
            query[:, :, segment.begin : segment.end],
            key.index_select(2, segment.path),
            value.index_select(2, segment.path),
            attn_mask=segment.mask(window),
            dropout_p=dropout,
            scale=scaling,
            enable_gqa=shared_keys,
        )
        for segment in given.segments
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def register() -> None:
    """Make the implementation known to transformers; plain calls get SDPA's masks."""
    AttentionInterface.register(NAME, segment_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
