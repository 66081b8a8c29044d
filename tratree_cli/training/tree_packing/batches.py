"""Segments of similar size computed together: a tree of short branches is few kernels, not many.

Queries and keys of a batch are padded to its largest; a batch takes a segment as long as what is
padded stays small against what is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

Run: TypeAlias = tuple[int, int, npt.NDArray[np.int64]]
"""Queries ``begin:end`` and the places of their keys."""
WASTE = 1.5
"""Padded pairs of query and key over real ones, at most."""
PAIRS = 1 << 22
"""Pairs of query and key in a batch, so that its mask stays small."""


@dataclass(frozen=True)
class Heads:
    """What a layer hands to attention beside its tensors."""

    layer: int
    scaling: float | None
    dropout: float
    window: int | None


@dataclass(frozen=True)
class Batch:
    """G segments of at most Q queries and K keys.

    ``queries[G * Q]`` and ``keys[G * K]`` are places in the packed sequence (0 where padded),
    ``sizes`` each segment's (queries, keys), ``real`` which of the G * Q are queries and ``places``
    the numbers of those.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    sizes: tuple[tuple[int, int], ...]
    real: torch.Tensor
    places: torch.Tensor

    @property
    def causal(self) -> bool:
        """Whether every segment is its own whole path, without padding."""
        return all(size == (self.width, self.width) for size in self.sizes)

    @cached_property
    def unpadded(self) -> bool:
        """Whether every segment has Q queries."""
        return all(queries == self.width for queries, _ in self.sizes)

    @cached_property
    def begin(self) -> int | None:
        """The first query, where all of them follow one after the other without padding."""
        first = int(self.queries[0])
        along = torch.arange(first, first + len(self.queries), device=self.queries.device)
        return first if self.unpadded and torch.equal(self.queries, along) else None

    @property
    def width(self) -> int:
        """Q."""
        return len(self.queries) // len(self.sizes)

    @property
    def reach(self) -> int:
        """K."""
        return len(self.keys) // len(self.sizes)

    def mask(self, window: int | None, like: torch.Tensor) -> torch.Tensor:
        """``[G, 1, Q, K]``, to be added: 0 where a query may attend, else minus infinity."""
        device = like.device
        before = torch.tensor([keys - queries for queries, keys in self.sizes], device=device)
        behind = (
            before[:, None, None]
            + torch.arange(self.width, device=device)[None, :, None]
            - torch.arange(self.reach, device=device)[None, None, :]
        )
        # A query that is padding sees something, too: without keys there is no softmax.
        real = self.real.view(len(self.sizes), self.width, 1)
        return added_mask(hidden_keys(behind, window) & real, like)[:, None]


def hidden_keys(behind: torch.Tensor, window: int | None) -> torch.Tensor:
    """Whether a query may not attend to a key that lies ``behind`` it by so many tokens."""
    hidden = behind < 0
    return hidden if window is None else hidden | (behind >= window)


def added_mask(hidden: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The mask that attention adds, of ``like``'s type: minus infinity where ``hidden``, else 0."""
    mask = torch.zeros(hidden.shape, dtype=like.dtype, device=like.device)
    return mask.masked_fill_(hidden, float("-inf"))


def batches(runs: Sequence[Run], device: torch.device) -> list[Batch]:
    """Segments ``(begin, end, path)`` in batches."""
    order = sorted(runs, key=lambda run: (run[1] - run[0], len(run[2]), -run[0]), reverse=True)
    groups: list[list[Run]] = []
    real = reach = 0
    for run in order:
        mine = (run[1] - run[0]) * len(run[2])
        if groups:
            wide = groups[-1][0][1] - groups[-1][0][0]
            reach = max(reach, len(run[2]))
            padded = (len(groups[-1]) + 1) * wide * reach
            if padded <= min(PAIRS, WASTE * (real + mine)):
                groups[-1].append(run)
                real += mine
                continue
        groups.append([run])
        real, reach = mine, len(run[2])
    return [_batch(group, device) for group in groups]


def _batch(group: Sequence[Run], device: torch.device) -> Batch:
    sizes = tuple((end - begin, len(path)) for begin, end, path in group)
    wide, reach = (max(size[side] for size in sizes) for side in (0, 1))
    queries = torch.zeros((len(group), wide), dtype=torch.int64)
    keys = torch.zeros((len(group), reach), dtype=torch.int64)
    real = torch.zeros((len(group), wide), dtype=torch.bool)
    for number, (begin, end, path) in enumerate(group):
        queries[number, : end - begin] = torch.arange(begin, end)
        keys[number, : len(path)] = torch.from_numpy(path)
        real[number, : end - begin] = True
    tensors = (queries, keys, real, torch.nonzero(real.flatten()))
    moved = [tensor.flatten().to(device) for tensor in tensors]
    return Batch(moved[0], moved[1], sizes, moved[2], moved[3])
