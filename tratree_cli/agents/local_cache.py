"""A key-value cache whose column is the position: one row per conversation, no holes, no padding.

``DynamicCache`` appends the same columns to every row, so conversations of different length leave
holes that every later step still reads. Here each row is written at its own length: a row that
ended is overwritten by the next conversation, a conversation grows by turns of any length, and
forgetting a suffix is a smaller length. Rows that are being decoded are kept together by exchanging
rows, so a forward pass reads a slice and never gathers. One tensor holds all layers, keys and
values, which makes that exchange three copies.

The price: memory is rows x longest conversation, and architectures whose layers differ (sliding
windows, state spaces) do not fit; ``LocalPolicy`` checks that when it loads a model.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class RowCache:
    """Keys and values of ``rows`` conversations of up to ``columns`` tokens; grows as needed.

    ``storage`` has shape ``[layers, 2, rows, columns + 1, heads, head size]``; the last column
    takes what padding would write.
    """

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self.rows = 0
        self.columns = 0
        self.storage: torch.Tensor | None = None
        self.view = Cache(layers=[_RowLayer(self, number) for number in range(layers)])
        self._first = 0
        self._length = 0
        self._row_index = torch.empty(0, dtype=torch.long)
        self._column_index = torch.empty(0, dtype=torch.long)

    def reserve(self, rows: int, columns: int) -> None:
        """Make room; contents are kept. Columns grow by doubling, rows exactly."""
        if columns > self.columns:
            columns = max(columns, min(2 * self.columns, columns + 1024), 64)
        rows, columns = max(rows, self.rows), max(columns, self.columns)
        if (rows, columns) == (self.rows, self.columns):
            return
        old, old_rows, old_columns = self.storage, self.rows, self.columns
        self.rows, self.columns = rows, columns
        if old is not None:
            self._allocate(old.shape[-2], old.shape[-1], old.dtype, old.device)
            assert self.storage is not None
            self.storage[:, :, :old_rows, :old_columns] = old[:, :, :, :old_columns]

    def aim(self, first: int, positions: torch.Tensor, length: int) -> None:
        """The next forward writes rows from ``first`` on and sees columns below ``length``.

        ``positions`` has shape ``[rows, tokens]``; -1 is padding.
        """
        self._first, self._length = first, length
        count = positions.shape[0]
        rows = torch.arange(first, first + count, device=positions.device)
        self._row_index = rows[:, None].expand_as(positions)
        self._column_index = torch.where(positions < 0, self.columns, positions)

    def exchange(self, one: int, other: int, length: int) -> None:
        """Exchange the first ``length`` columns of two rows."""
        if self.storage is None or one == other:
            return
        kept = self.storage[:, :, one, :length].clone()
        self.storage[:, :, one, :length] = self.storage[:, :, other, :length]
        self.storage[:, :, other, :length] = kept

    def write(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store ``[rows, heads, tokens, size]`` keys and values; return all that is visible."""
        if self.storage is None:
            self._allocate(keys.shape[1], keys.shape[3], keys.dtype, keys.device)
        assert self.storage is not None
        last = self._first + keys.shape[0]
        seen = []
        for kind, new in enumerate((keys, values)):
            block = self.storage[layer, kind]
            block[self._row_index, self._column_index] = new.transpose(1, 2)
            seen.append(block[self._first : last, : self._length].transpose(1, 2))
        return seen[0], seen[1]

    def _allocate(self, heads: int, size: int, dtype: torch.dtype, device: torch.device) -> None:
        # Zeros, because masked garbage times a weight of zero must not be a NaN.
        self.storage = torch.zeros(
            (self.layers, 2, self.rows, self.columns + 1, heads, size), dtype=dtype, device=device
        )


class _RowLayer(CacheLayerMixin):  # type: ignore[misc]
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
