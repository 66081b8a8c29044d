"""Attention over a trie by segments: what each row adds, to the whole of its path.

A segment is the run of nodes that a row adds to its trie. Its queries attend to the nodes of the
row's path up to themselves, so attention costs distinct tokens times path length, not the square of
the distinct tokens, and no mask of the whole trie is ever made. Tries lie one after the other in
one sequence, without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tratree_cli.training.tree_packing import flex
from tratree_cli.training.tree_packing.batches import Batch, Heads, batches
from tratree_cli.training.tree_packing.key_blocks import KeyBlocks, attend, key_blocks_of, serves
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
    path: npt.NDArray[np.int64]


class PathAttention(Protocol):
    """What a forward pass hands to every layer under ``PLAN``."""

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: Heads
    ) -> torch.Tensor: ...


@dataclass(frozen=True)
class Plan:
    """Tries of a forward pass, or a part of them below a path that is computed already.

    ``input_ids[1, N]``, ``position_ids[1, N]`` and segments. Keys are the ``before`` nodes of that
    path and then the N nodes: ``reach[before + N]`` is the place after the last of the N nodes that
    sees a key (its last descendant), and ``Segment.path`` counts keys.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    reach: npt.NDArray[np.int64]
    segments: tuple[Segment, ...]
    offsets: tuple[int, ...] = ()
    """Where each trie's first node lies."""
    before: int = 0
    masks: dict[tuple[int, int | None, torch.dtype], torch.Tensor] = field(default_factory=dict)
    """Made by the first layer that needs them; gradients would keep one a layer otherwise."""

    blocks: dict[tuple[int | None, int], Any] = field(default_factory=dict)
    """Block masks of FlexAttention, by window and padded length."""

    @property
    def longest(self) -> int:
        """Tokens of the longest path."""
        return max(len(segment.path) for segment in self.segments)

    @cached_property
    def end(self) -> torch.Tensor:
        """``[N]``: the place after a node's last descendant."""
        return torch.from_numpy(self.reach[self.before :]).to(self.input_ids.device)

    @cached_property
    def paths(self) -> tuple[tuple[Batch, ...], torch.Tensor]:
        """Segments with their paths in batches, and where each position's result lies in them."""
        runs = [(one.begin, one.end, one.path) for one in self.segments]
        found = tuple(batches(runs, self.input_ids.device))
        return found, torch.argsort(torch.cat([batch.queries[batch.places] for batch in found]))

    @cached_property
    def key_blocks(self) -> KeyBlocks:
        """The same attention by blocks of keys."""
        own = [(one.begin, one.end) for one in self.segments]
        return key_blocks_of(own, self.before, self.reach)

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: Heads
    ) -> torch.Tensor:
        """``[1, heads, N, d]``: what each segment's queries find on its path."""
        if not self.before and flex.serves(query, heads):
            return flex.attend(query, key, value, heads, self)
        if serves(query, value, heads, self.longest):
            return attend(query, key, value, heads.scaling, self.key_blocks)
        return self.attend_on_paths(query, key, value, heads)

    def attend_on_paths(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: Heads
    ) -> torch.Tensor:
        """The same with each segment's path copied out, on any device."""
        found, order = self.paths
        parts = [
            self._batch(number, batch, (query[0], key[0], value[0]), heads)
            for number, batch in enumerate(found)
        ]
        return torch.cat(parts, dim=1).index_select(1, order)[None]

    def _batch(
        self,
        number: int,
        batch: Batch,
        tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        heads: Heads,
    ) -> torch.Tensor:
        """``[heads, real queries, d]`` of one batch of segments."""
        query, key, value = (
            tensor.index_select(1, places).unflatten(1, (len(batch.sizes), -1)).transpose(0, 1)
            for tensor, places in zip(tensors, (batch.queries, batch.keys, batch.keys), strict=True)
        )
        mask = None
        if heads.window is not None or not batch.causal:
            name = (number, heads.window, query.dtype)
            if name not in self.masks:
                self.masks[name] = batch.mask(heads.window, query)
            mask = self.masks[name]
        found = _scaled_dot_product(query, key, value, heads, mask)
        return found.transpose(0, 1).flatten(1, 2).index_select(1, batch.places)


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
                segments.append(Segment(size + begun, size + end, path + size))
                begun = end
        size += len(trie)
    tokens = np.concatenate([trie.tokens for trie in tries])
    depth = np.concatenate([trie.depth for trie in tries])
    ends = [trie.end + begin for trie, begin in zip(tries, offsets, strict=True)]
    return Plan(
        torch.from_numpy(tokens)[None].to(device),
        torch.from_numpy(depth)[None].to(device),
        np.concatenate(ends),
        tuple(segments),
        tuple(offsets),
    )


def part(whole: Plan, begin: int, end: int, path: npt.NDArray[np.int64]) -> Plan:
    """The nodes ``begin:end`` of a plan, where a segment begins, below ``path``.

    ``path`` are the nodes before ``begin`` that have descendants in the part, in order.
    """
    before = len(path)
    chosen = []
    for one in whole.segments:
        if begin <= one.begin < end:
            above = one.path[one.path < begin]
            own = one.path[len(above) :] - begin + before
            keys = np.concatenate((np.searchsorted(path, above), own))
            chosen.append(Segment(one.begin - begin, one.end - begin, keys))
    nodes = np.concatenate((path, np.arange(begin, end)))
    return Plan(
        whole.input_ids[:, begin:end],
        whole.position_ids[:, begin:end],
        np.minimum(whole.reach[nodes], end) - begin,
        tuple(chosen),
        before=before,
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
    given: PathAttention | None = options.pop(PLAN, None)
    if given is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **options
        )
    heads = Heads(module.layer_idx, scaling, dropout, options.get("sliding_window"))
    return given.attend(query, key, value, heads).transpose(1, 2).contiguous(), None


def _scaled_dot_product(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    heads: Heads,
    mask: torch.Tensor | None,
) -> torch.Tensor:
    """PyTorch's attention; causal where there is no mask."""
    return torch.nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=mask is None,
        dropout_p=heads.dropout,
        scale=heads.scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def register() -> None:
    """Make the implementation known to transformers; plain calls get SDPA's masks."""
    AttentionInterface.register(NAME, segment_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def hidden_states(
    model: Any, input_ids: torch.Tensor, position_ids: torch.Tensor, attention: PathAttention
) -> torch.Tensor:
    """Hidden states ``[N, width]`` of ``input_ids[1, N]`` under ``attention``."""
    hidden: torch.Tensor = model.base_model(
        input_ids=input_ids,
        # A mask that is made already; nothing reads it, and transformers makes none.
        attention_mask=input_ids.new_ones((1, 1, 1, 1), dtype=torch.bool),
        position_ids=position_ids,
        use_cache=False,
        **{PLAN: attention},
    ).last_hidden_state
    return hidden[0]
