"""Attention for a pass over tokens of many conversations, which lie one behind the other.

No padding and, where a token may see all that is there, no mask: each conversation's tokens look at
its own keys and at the shared beginning (``PackedCache``). Query heads that share a key head are
taken as further queries of it, so keys are never repeated.

* One token a conversation (sampling): the shared text's keys are read once for all conversations
  and each one's own keys once. The two results are joined by their log-sum-exp, which is the
  softmax over both. Off the CPU, where a call for each conversation costs more than padding, all
  conversations are computed together under a mask.
* Several tokens (reading): one call, causal from the lower right corner.
* A layer with a window looks at the last keys alone; where that is a slice, it is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface

from tratree_cli.agents.local.packed_cache import PackedCache

NAME = "tratree_packed"
SHARED = -1
"""The row of a piece that is the shared text itself."""


@dataclass(frozen=True)
class Piece:
    """Neighbouring tokens of one conversation.

    ``row`` is its place in the cache, ``column`` that of the first token among its own tokens,
    ``after`` how many shared tokens come before its own.
    """

    row: int
    column: int
    width: int
    after: int = 0

    @property
    def position(self) -> int:
        """Of the first token in the conversation."""
        return self.after + self.column


@dataclass
class PackedPass:
    """What one forward pass reads: ``singles`` of one token each, then ``pieces``.

    ``together`` computes the singles in one call (see above).
    """

    cache: PackedCache
    singles: Sequence[Piece]
    pieces: Sequence[Piece]
    device: torch.device
    together: bool = False
    _masks: dict[tuple[int, int | None], torch.Tensor | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        every = [*self.singles, *self.pieces]
        spans = [range(piece.column, piece.column + piece.width) for piece in every]
        rows = [piece.row for piece in every for _ in range(piece.width)]
        columns = [column for span in spans for column in span]
        places = torch.tensor([rows, columns], device=self.device)
        self._rows, self._columns = places[0], places[1]
        self._reading_shared = bool(self.pieces) and self.pieces[0].row == SHARED

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int | None,
    ) -> torch.Tensor:
        """``[tokens, heads, size]`` of ``query`` ``[heads, tokens, size]``; keys are kept."""
        if self._reading_shared:
            self.cache.write_shared(layer, key, value)
        else:
            self.cache.own.put(
                layer, self._rows, self._columns, key.transpose(0, 1), value.transpose(0, 1)
            )
        heads, tokens, size = query.shape
        out = query.new_empty(tokens, heads, value.shape[-1])
        count = len(self.singles)
        if count:
            grouped = query[:, :count].transpose(0, 1).reshape(count, key.shape[0], -1, size)
            way = self._singles_together if self.together else self._singles_in_turn
            out[:count] = way(layer, grouped, scale, window).reshape(count, heads, -1)
        first = count
        for number, piece in enumerate(self.pieces):
            last = first + piece.width
            keys, values = self._visible(layer, piece, window)
            mask = self._mask(number, window)
            found = functional.scaled_dot_product_attention(
                query[None, :, first:last],
                keys[None],
                values[None],
                attn_mask=mask,
                is_causal=mask is None,
                scale=scale,
                enable_gqa=heads != key.shape[0],
            )
            out[first:last] = found[0].transpose(0, 1)
            first = last
        return out

    def _visible(
        self, layer: int, piece: Piece, window: int | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The keys and values ``[heads, columns, size]`` that any token of ``piece`` sees."""
        if piece.row == SHARED:
            return self.cache.shared_of(layer)
        storage = self.cache.own.storage
        assert storage is not None, "the new tokens were just put there"
        begin = _begin(piece, window)
        own = storage[layer, :, piece.row, :, max(0, begin - piece.after) : _end(piece)]
        if begin >= piece.after:
            return own[0], own[1]
        keys, values = self.cache.shared_of(layer)
        before = (keys[:, begin:], values[:, begin:])
        return torch.cat((before[0], own[0]), 1), torch.cat((before[1], own[1]), 1)

    def _mask(self, number: int, window: int | None) -> torch.Tensor | None:
        """What is added to a piece's scores, ``[tokens, columns]``; None where causal says it."""
        piece = self.pieces[number]
        if piece.position == 0 and (not window or piece.width <= window):
            return None
        if (number, window) not in self._masks:
            begin = _begin(piece, window)
            columns = torch.arange(begin, piece.position + piece.width, device=self.device)
            own = torch.arange(piece.position, piece.position + piece.width, device=self.device)
            hidden = columns > own[:, None]
            if window:
                hidden |= columns <= own[:, None] - window
            bias = torch.zeros(hidden.shape, dtype=self._dtype, device=self.device)
            self._masks[number, window] = bias.masked_fill_(hidden, float("-inf"))
        return self._masks[number, window]

    @property
    def _dtype(self) -> torch.dtype:
        kept = self.cache.own.storage if self.cache.shared is None else self.cache.shared
        assert kept is not None
        return kept.dtype

    def _singles_in_turn(
        self, layer: int, query: torch.Tensor, scale: float, window: int | None
    ) -> torch.Tensor:
        """``[singles, key heads, group, size]`` of ``query`` of that shape."""
        storage = self.cache.own.storage
        assert storage is not None
        keys, values = storage[layer, 0], storage[layer, 1]
        out, totals, sharing = [], [], []
        for number, piece in enumerate(self.singles):
            if _begin(piece, window):
                visible = self._visible(layer, piece, window)
                near, far = visible[0][None], visible[1][None]
            else:
                rows, end = slice(piece.row, piece.row + 1), _end(piece)
                near, far = keys[rows, :, :end], values[rows, :, :end]
                if piece.after:
                    sharing.append(number)
            found, total = _flash(query[number : number + 1], near, far, scale)
            out.append(found)
            totals.append(total)
        own, own_total = torch.cat(out), torch.cat(totals)
        if not sharing:
            return own
        everyone = len(sharing) == len(self.singles)
        chosen = slice(None) if everyone else torch.tensor(sharing, device=query.device)
        shared, shared_total = self._of_shared(layer, query[chosen], scale)
        share = torch.sigmoid(shared_total - own_total[chosen])[..., None].to(own.dtype)
        own[chosen] = torch.lerp(own[chosen], shared, share)
        return own

    def _of_shared(
        self, layer: int, query: torch.Tensor, scale: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention to the shared text alone, and the log-sum-exp of its scores."""
        count, heads, group, size = query.shape
        keys, values = self.cache.shared_of(layer)
        as_one = query.transpose(0, 1).reshape(1, heads, count * group, size)
        found, total = _flash(as_one, keys[None], values[None], scale)
        return (
            found[0].view(heads, count, group, -1).transpose(0, 1),
            total[0].view(heads, count, group).transpose(0, 1),
        )

    def _singles_together(
        self, layer: int, query: torch.Tensor, scale: float, window: int | None
    ) -> torch.Tensor:
        """As ``_singles_in_turn``, with all rows up to the longest in one product."""
        storage = self.cache.own.storage
        assert storage is not None
        longest = max(_end(piece) for piece in self.singles)
        rows = self._rows[: len(self.singles)]
        own = storage[layer, :, :, :, :longest].index_select(1, rows)
        scores = torch.matmul(query, own[0].transpose(-1, -2))
        before = self.cache.shared_length
        if before:
            keys, values = self.cache.shared_of(layer)
            scores = torch.cat((torch.matmul(query, keys.transpose(-1, -2)), scores), -1)
        weights = torch.softmax(scores.float() * scale + self._bias(before, longest, window), -1)
        weights = weights.to(query.dtype)
        out = torch.matmul(weights[..., before:], own[1])
        return out + torch.matmul(weights[..., :before], values) if before else out

    def _bias(self, before: int, longest: int, window: int | None) -> torch.Tensor:
        """``[singles, 1, 1, before + longest]``: what each token sees of shared and own columns."""
        key = (-1, window)
        if key not in self._masks:
            after = torch.tensor([piece.after for piece in self.singles], device=self.device)
            own = torch.tensor([piece.position for piece in self.singles], device=self.device)
            shared = torch.arange(before, device=self.device).expand(len(self.singles), -1)
            columns = torch.arange(longest, device=self.device) + after[:, None]
            hidden = torch.cat((shared >= after[:, None], columns > own[:, None]), -1)
            if window:
                hidden |= torch.cat((shared, columns), -1) <= own[:, None] - window
            bias = torch.zeros(hidden.shape, device=self.device)
            self._masks[key] = bias.masked_fill_(hidden, float("-inf"))[:, None, None]
        bias_of = self._masks[key]
        assert bias_of is not None
        return bias_of


def packed_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    packed: PackedPass | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in each layer; ``ValueError`` for what is computed otherwise."""
    if packed is None or attention_mask is not None:
        raise ValueError("this attention is told what to look at by its pass")
    for name in ("softcap", "s_aux", "position_bias"):
        if others.get(name) is not None:
            raise ValueError(f"attention with {name} is not computed here")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    found = packed.attend(module.layer_idx, query[0], key[0], value[0], scale, sliding_window)
    return found[None], None


AttentionInterface.register(NAME, packed_attention)


def _begin(piece: Piece, window: int | None) -> int:
    """The first position that the first token of ``piece`` sees."""
    return max(0, piece.position - window + 1) if window else 0


def _end(piece: Piece) -> int:
    """The first own column behind ``piece``."""
    return piece.column + piece.width


def _flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention without a mask and the log-sum-exp of its scores, on a CPU."""
    found, total = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, scale=scale
    )
    return found, total
