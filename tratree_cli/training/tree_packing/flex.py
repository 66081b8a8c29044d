"""Attention over tries by FlexAttention: one kernel whose blocks follow the Euler tour.

On a GPU the many small segments are many small kernels; one kernel that skips the blocks of other
branches is not. Lengths are rounded up, so that it is compiled once for a range of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import torch

STEP = 1024
"""Lengths are rounded up to a multiple of it; FlexAttention's blocks have 128 positions."""


class HeadSettings(Protocol):
    """What a layer hands to attention beside its tensors (``segments.Heads``)."""

    @property
    def scaling(self) -> float | None: ...
    @property
    def dropout(self) -> float: ...
    @property
    def window(self) -> int | None: ...


class EulerTour(Protocol):
    """Tries laid out in depth-first order (``segments.Plan``)."""

    @property
    def position_ids(self) -> torch.Tensor: ...
    @property
    def end(self) -> torch.Tensor: ...
    @property
    def blocks(self) -> dict[tuple[int | None, int], Any]: ...


def serves(query: torch.Tensor, heads: HeadSettings) -> bool:
    """Whether the device has a compiler for it and the heads are of a size that it takes."""
    width = query.shape[-1]
    sized = width >= 16 and width & (width - 1) == 0
    return query.is_cuda and sized and not heads.dropout


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    heads: HeadSettings,
    plan: EulerTour,
    compiled: bool = True,
) -> torch.Tensor:
    """``[1, heads, N, d]``, as ``Plan.attend`` gives it."""
    size = query.shape[2]
    padded = -(-size // STEP) * STEP
    name = (heads.window, padded)
    if name not in plan.blocks:
        plan.blocks[name] = _block_mask(plan, heads.window, padded)
    query, key, value = (
        torch.nn.functional.pad(tensor, (0, 0, 0, padded - size)) for tensor in (query, key, value)
    )
    found: torch.Tensor = _kernel(compiled)(
        query,
        key,
        value,
        block_mask=plan.blocks[name],
        scale=heads.scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return found[:, :, :size]


def _block_mask(plan: EulerTour, window: int | None, padded: int) -> Any:
    """Query q sees key k where ``k <= q < end[k]``, and within the window of its path."""
    from torch.nn.attention.flex_attention import create_block_mask

    size = len(plan.end)
    device = plan.end.device
    # Nothing sees what is padded but itself: a query without a key has no defined result.
    end = torch.cat([plan.end, torch.arange(size + 1, padded + 1, device=device)])
    depth = torch.nn.functional.pad(plan.position_ids[0], (0, padded - size))

    def seen(batch: Any, head: Any, q: Any, k: Any) -> Any:
        ancestor = (k <= q) & (q < end[k])
        return ancestor if window is None else ancestor & (depth[q] - depth[k] < window)

    return create_block_mask(seen, None, None, padded, padded, device=str(device))


@lru_cache(maxsize=2)
def _kernel(compiled: bool) -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    eager: Callable[..., Any] = flex_attention
    return torch.compile(eager, dynamic=False) if compiled else eager
