"""Attention over tries on a CPU by blocks of keys, without a copy of any path.

In depth-first order the descendants of a run of nodes lie one after the other, so all queries below
the run meet its keys in one product of two slices. Each segment attends to itself, batched with
others of its length; what the runs above it add is merged by the sums of exponentials, in float32.
PyTorch's fused kernels do both: forward, and with the merged sums backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tratree_cli.training.tree_packing.batches import Batch, Heads, Run, batches

SHORT = 48
"""Queries of a segment below which it is padded into a batch with others of about its size."""
ADDED_PAIRS = 2048
"""Hidden pairs of query and key that one call of a kernel less is worth."""


@dataclass(frozen=True)
class KeyBlock:
    """The keys ``begin:end`` and the queries ``first:last`` that they are for.

    ``seen[k]`` of the queries see key k: the first ones; all of them see the first key.
    """

    begin: int
    end: int
    first: int
    last: int
    seen: npt.NDArray[np.int64]

    def mask(self, like: torch.Tensor) -> torch.Tensor | None:
        """``[1, 1, queries, keys]``, to be added; None where every query sees every key."""
        queries = self.last - self.first
        if int(self.seen[-1]) == queries:
            return None
        hidden = torch.arange(queries)[:, None] >= torch.from_numpy(self.seen)
        # Not infinity: the sum of a query that sees nothing here has to be a number.
        mask = torch.zeros(hidden.shape, dtype=like.dtype)
        return mask.masked_fill_(hidden, torch.finfo(like.dtype).min / 2)[None, None]


def key_blocks(
    spans: Sequence[tuple[int, int, int]], reach: npt.NDArray[np.int64]
) -> list[KeyBlock]:
    """The blocks of spans ``(begin, end, first)``: keys on one path, for queries from ``first`` on.

    ``reach[k]`` is the place after the last query that sees key k; along a span it never rises.
    """
    found: list[KeyBlock] = []
    for begin, end, first in spans:
        seen = reach[begin:end] - first
        seen = seen[: int(np.count_nonzero(seen > 0))]
        if not len(seen):
            continue
        runs = [0, *(np.flatnonzero(np.diff(seen)) + 1).tolist(), len(seen)]
        start = hidden = 0
        for run, after in pairwise(runs):
            hidden += (after - run) * int(seen[start] - seen[run])
            if hidden > ADDED_PAIRS:
                found.append(_block(begin, start, run, first, seen))
                start, hidden = run, 0
        found.append(_block(begin, start, len(seen), first, seen))
    return found


def key_blocks_of(
    segments: Sequence[tuple[int, int]], before: int, reach: npt.NDArray[np.int64]
) -> KeyBlocks:
    """Segments ``(begin, end)`` of queries, below the keys of a path of ``before`` nodes."""
    spans = [(before + begin, before + end, end) for begin, end in segments]
    alone = [(begin, end, np.arange(begin, end)) for begin, end in segments]
    device = torch.device("cpu")
    together: dict[int, list[Run]] = {}
    for run in alone:
        size = run[1] - run[0]
        # Short ones are padded to a common size; others meet those of their own size, which gives
        # the very numbers of one after the other.
        together.setdefault(size if size >= SHORT else 0, []).append(run)
    own = [batch for runs in together.values() for batch in batches(runs, device)]
    return KeyBlocks(tuple(key_blocks([(0, before, 0), *spans], reach)), tuple(own))


def _block(begin: int, start: int, end: int, first: int, seen: npt.NDArray[np.int64]) -> KeyBlock:
    return KeyBlock(begin + start, begin + end, first, first + int(seen[start]), seen[start:end])


@dataclass(frozen=True)
class KeyBlocks:
    """All attention of N queries, which are the last of the keys.

    ``own`` are the segments, each with itself alone: short ones in batches.
    """

    blocks: tuple[KeyBlock, ...]
    own: tuple[Batch, ...]
    masks: dict[tuple[int, torch.dtype], torch.Tensor | None] = field(default_factory=dict)
    """Made by the first layer that needs them."""

    def mask(self, number: int, like: torch.Tensor) -> torch.Tensor | None:
        name = (number, like.dtype)
        if name not in self.masks:
            self.masks[name] = self.blocks[number].mask(like)
        return self.masks[name]


def serves(query: torch.Tensor, value: torch.Tensor, heads: Heads, longest: int) -> bool:
    """Whether a CPU's kernels compute these heads; a window that reaches all of a path is none."""
    narrow = heads.window is not None and heads.window < longest
    return (
        query.device.type == "cpu"
        and not heads.dropout
        and not narrow
        and (query.shape[-1] == value.shape[-1])
    )


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    layout: KeyBlocks,
) -> torch.Tensor:
    """``[1, heads, N, d]`` of queries ``[1, heads, N, d]`` and keys ``[1, heads, M + N, d]``."""
    kind = query.device.type
    one = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value.dtype
    found: torch.Tensor = _Attention.apply(
        query.to(one), key.to(one), value.to(one), scaling, layout
    )
    return found


class _Attention(torch.autograd.Function):
    """Attention whose backward pass needs the result and the sums only, as the kernels' own."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float | None,
        layout: KeyBlocks,
    ) -> torch.Tensor:
        before = key.shape[2] - query.shape[2]
        # Laid out as the queries are, token by token, so that a segment's rows are copied whole.
        merged = torch.empty_like(query, dtype=torch.float32)
        total = merged.new_empty(query.shape[:-1])
        for batch in layout.own:
            given = (_rows(query, batch, 0), _rows(key, batch, before), _rows(value, batch, before))
            out, added = _forward(*given, 0.0, True, attn_mask=None, scale=scaling)
            _put(merged, batch, out)
            _put(total, batch, added)
        for number, block in enumerate(layout.blocks):
            rows, keys = slice(block.first, block.last), slice(block.begin, block.end)
            out, added = _forward(
                query[:, :, rows], key[:, :, keys], value[:, :, keys], 0.0, False,
                attn_mask=layout.mask(number, query), scale=scaling,
            )  # fmt: skip
            both = torch.logaddexp(total[:, :, rows], added.float())
            merged[:, :, rows] *= torch.exp(total[:, :, rows] - both)[..., None]
            merged[:, :, rows] += out * torch.exp(added - both)[..., None]
            total[:, :, rows] = both
        result = merged.to(query.dtype)
        ctx.save_for_backward(query, key, value, result, total)
        ctx.scaling, ctx.layout = scaling, layout
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        (gradient,) = gradients
        query, key, value, result, total = ctx.saved_tensors
        layout: KeyBlocks = ctx.layout
        before = key.shape[2] - query.shape[2]
        of_query = torch.empty_like(query)
        of_key, of_value = torch.empty_like(key), torch.empty_like(value)
        into = (of_query, of_key[:, :, before:], of_value[:, :, before:])
        of_key[:, :, :before] = of_value[:, :, :before] = 0
        for batch in layout.own:
            mine, sums = _rows(gradient, batch, 0), _rows(total, batch, 0)
            if not batch.unpadded:
                # A query that is padding weighs nothing: no gradient, a sum that is far too large.
                real = batch.real.view(len(batch.sizes), 1, -1)
                mine, sums = mine * real[..., None], sums.masked_fill(~real, 1e9)
            found = _backward(
                mine,
                _rows(query, batch, 0), _rows(key, batch, before), _rows(value, batch, before),
                _rows(result, batch, 0), sums,
                0.0, True, attn_mask=None, scale=ctx.scaling,
            )  # fmt: skip
            for side, mine in zip(into, found, strict=True):
                _put(side, batch, mine)
        for number, block in enumerate(layout.blocks):
            rows, keys = slice(block.first, block.last), slice(block.begin, block.end)
            found = _backward(
                gradient[:, :, rows], query[:, :, rows], key[:, :, keys], value[:, :, keys],
                result[:, :, rows], total[:, :, rows],
                0.0, False, attn_mask=layout.mask(number, query), scale=ctx.scaling,
            )  # fmt: skip
            of_query[:, :, rows] += found[0]
            of_key[:, :, keys] += found[1]
            of_value[:, :, keys] += found[2]
        return of_query, of_key, of_value, None, None


def _rows(tensor: torch.Tensor, batch: Batch, before: int) -> torch.Tensor:
    """``[1, heads, N, …]`` to ``[segments, heads, longest, …]``, copied unless side by side."""
    shape = (len(batch.sizes), batch.width)
    by_token = tensor[0].transpose(0, 1)
    if batch.begin is None:
        taken = by_token.index_select(0, batch.queries + before if before else batch.queries)
    else:
        begin = batch.begin + before
        taken = by_token[begin : begin + len(batch.queries)]
    return taken.unflatten(0, shape).transpose(1, 2)


def _put(into: torch.Tensor, batch: Batch, found: torch.Tensor) -> None:
    """Write ``[segments, heads, longest, …]`` to the segments' places of ``[1, heads, N, …]``."""
    by_token, rows = into[0].transpose(0, 1), found.transpose(1, 2).flatten(0, 1)
    if batch.begin is not None:
        by_token[batch.begin : batch.begin + len(batch.queries)] = rows
    elif batch.unpadded:
        by_token.index_copy_(0, batch.queries, rows.to(into.dtype))
    else:
        real = rows.index_select(0, batch.places)
        by_token.index_copy_(0, batch.queries[batch.places], real.to(into.dtype))


# PyTorch's own attention on a CPU, which also gives the sums that merging needs.
_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward.default
