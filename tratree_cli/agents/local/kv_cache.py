"""A key-value cache whose column is the position: one row per conversation, no holes, no padding.

``DynamicCache`` appends the same columns to every row, so conversations of different length leave
holes that every later step still reads. Here each row is written at its own length: a row that
ended is overwritten by the next conversation, a conversation grows by turns of any length, and
dropping a suffix is a smaller length. Rows that are being decoded are kept together by exchanging
rows, so a forward pass reads a slice and never gathers. One tensor holds all layers, keys and
values, which makes that exchange a few copies.

In main memory the whole tensor is reserved at once and the operating system gives a page when it is
first written, so what is used is the sum of the conversations and not rows x the longest. On a GPU
it is rows x the longest so far. Layers with a window keep all columns and mask the older ones
(``attention_masks``). Architectures that keep something else (state spaces) do not fit;
``LocalPolicy`` checks that when it loads a model.
"""

from __future__ import annotations

import math
import mmap
import sys
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

# Python has a name for it from 3.13 on.
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


class RowCache:
    """Keys and values of ``rows`` conversations of up to ``columns`` tokens; grows as needed.

    ``storage`` has shape ``[layers, 2, rows, heads, columns + 1, head size]``; the last column
    takes what padding would write. A head's columns are adjacent, because attention reads all
    of them for every token (2.5 times faster than with adjacent heads), and writes only one.
    ``longest`` is the largest number of columns needed, where storage is ``paged`` (in main
    memory).
    """

    def __init__(self, layers: int, *, longest: int = 0, paged: bool = False) -> None:
        self.layers = layers
        self.longest = longest
        self.paged = paged and hasattr(mmap, "MAP_PRIVATE")
        self.rows = 0
        self.columns = 0
        self.storage: torch.Tensor | None = None
        self.view = Cache(layers=[_RowLayer(self, number) for number in range(layers)])
        self._first = 0
        self._length = 0
        self._used = 0
        self._positions = torch.empty(0, 0, dtype=torch.long)
        self._places: torch.Tensor | None = None

    def reserve(self, rows: int, columns: int) -> None:
        """Make room; contents are kept. Columns grow by doubling (or at once), rows exactly."""
        if columns > self.columns:
            further = self.longest if self.paged else min(2 * self.columns, columns + 1024)
            columns = max(columns, further, 64)
        rows, columns = max(rows, self.rows), max(columns, self.columns)
        if (rows, columns) == (self.rows, self.columns):
            return
        old, old_rows = self.storage, self.rows
        self.rows, self.columns = rows, columns
        if old is not None:
            self._allocate(old.shape[3], old.shape[-1], old.dtype, old.device)
            assert self.storage is not None
            self.storage[:, :, :old_rows, :, : self._used] = old[..., : self._used, :]

    def aim(self, first: int, positions: torch.Tensor, length: int) -> None:
        """The next forward writes rows from ``first`` on and sees columns below ``length``.

        ``positions`` has shape ``[rows, tokens]``; -1 is padding.
        """
        self._first, self._length = first, length
        self._used = max(self._used, length)
        self._positions, self._places = positions, None

    def exchange(self, row: int, with_row: int, length: int, with_length: int) -> None:
        """Exchange two rows, of which the first so many columns are in use."""
        if self.storage is None or row == with_row:
            return
        if length > with_length:
            row, with_row, length, with_length = with_row, row, with_length, length
        # What only the longer row has moves once; what both have needs a temporary copy.
        first, second = self.storage[:, :, row], self.storage[:, :, with_row]
        first[..., length:with_length, :] = second[..., length:with_length, :]
        if length:
            kept = first[..., :length, :].clone()
            first[..., :length, :] = second[..., :length, :]
            second[..., :length, :] = kept

    def write(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store ``[rows, heads, tokens, size]`` keys and values; return all that is visible."""
        if self.storage is None:
            self._allocate(keys.shape[1], keys.shape[3], keys.dtype, keys.device)
        assert self.storage is not None
        if self._places is None:
            self._places = self._find_places(keys.shape[1])
        last, size = self._first + keys.shape[0], keys.shape[3]
        seen = []
        for kind, new in enumerate((keys, values)):
            block = self.storage[layer, kind]
            flat = new.transpose(1, 2).reshape(-1, size)
            block.view(-1, size).index_copy_(0, self._places, flat)
            seen.append(block[self._first : last, :, : self._length])
        return seen[0], seen[1]

    def put(
        self,
        layer: int,
        rows: torch.Tensor,
        columns: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> None:
        """Store one token's ``[heads, size]`` keys and values for each of ``rows``."""
        if self.storage is None:
            self._allocate(keys.shape[1], keys.shape[2], keys.dtype, keys.device)
        assert self.storage is not None
        self.storage[layer, 0, rows, :, columns] = keys
        self.storage[layer, 1, rows, :, columns] = values

    def use(self, columns: int) -> None:
        """The first ``columns`` of any row may be in use, and are kept when the storage grows."""
        self._used = max(self._used, columns)

    def _find_places(self, heads: int) -> torch.Tensor:
        """The places of row, token and head (in this order), counted in heads' columns."""
        positions, device = self._positions, self._positions.device
        columns = torch.where(positions < 0, self.columns, positions)
        rows = torch.arange(self._first, self._first + positions.shape[0], device=device)
        block = rows[:, None] * heads + torch.arange(heads, device=device)
        return (block[:, None] * (self.columns + 1) + columns[..., None]).flatten()

    def _allocate(self, heads: int, size: int, dtype: torch.dtype, device: torch.device) -> None:
        # Zeros, because masked garbage times a weight of zero must not be a NaN.
        shape = (self.layers, 2, self.rows, heads, self.columns + 1, size)
        if self.paged:
            self.storage = _paged_zeros(shape, dtype)
        else:
            self.storage = torch.zeros(shape, dtype=dtype, device=device)


def _paged_zeros(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Zeros that take memory where they are written, in small pages."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
    memory = mmap.mmap(-1, math.prod(shape) * dtype.itemsize, flags=flags)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        # A huge page holds the beginnings of many rows, and would be given for the first of them.
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)


class _RowLayer(CacheLayerMixin):
    """What transformers' attention sees of one layer."""

    is_sliding = False

    def __init__(self, rows: RowCache, number: int) -> None:
        super().__init__()
        self._rows = rows
        self._number = number

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self._rows.write(self._number, key_states, value_states)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._rows._length, 0

    def get_seq_length(self) -> int:
        return self._rows._length

    def get_max_length(self) -> int:
        return -1
