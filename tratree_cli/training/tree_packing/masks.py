"""Which token may attend to which: its ancestors in the trie, within a layer's window if any.

Tries of one batch lie beside each other in the batch dimension, padded to the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tratree_cli.training.tree_packing.trie import TokenTrie

FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class PackedInput:
    """A batch of P tries, padded to U positions.

    ``input_ids[P, U]`` and ``position_ids[P, U]`` (depth); ``end[P, U]`` as in ``TokenTrie``;
    padding has token 0, position 0 and attends to itself only.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    end: torch.Tensor

    def allowed(self, window: int | None = None) -> torch.Tensor:
        """The mask ``[P, 1, U, U]``, true where query q may attend to key k."""
        number = torch.arange(self.end.shape[1], device=self.end.device)
        key = number[None, None, :]
        query = number[None, :, None]
        mask = (key <= query) & (query < self.end[:, None, :])
        if window is not None:
            depth = self.position_ids
            mask = mask & (depth[:, :, None] - depth[:, None, :] < window)
        return mask[:, None]


def packed_input(tries: Sequence[TokenTrie], device: torch.device) -> PackedInput:
    """The tries as tensors on ``device``."""
    width = max(map(len, tries))
    ids = torch.zeros((len(tries), width), dtype=torch.long)
    depth = torch.zeros_like(ids)
    # A padding position ends right after itself, so nothing else attends to it.
    end = torch.arange(1, width + 1).repeat(len(tries), 1)
    for number, trie in enumerate(tries):
        ids[number, : len(trie)] = torch.from_numpy(trie.tokens)
        depth[number, : len(trie)] = torch.from_numpy(trie.depth)
        end[number, : len(trie)] = torch.from_numpy(trie.end)
    return PackedInput(ids.to(device), depth.to(device), end.to(device))


def attention_mask(packed: PackedInput, config: Any, dtype: torch.dtype) -> Any:
    """The mask as the model's layers want it: one tensor, or one by kind of layer.

    ``config`` is the text model's; ``dtype`` that of the hidden states (eager attention adds its
    mask, SDPA takes booleans).
    """
    masks = {
        kind: _as_wanted(packed.allowed(_window(config, kind)), config, dtype)
        for kind in layer_kinds(config)
    }
    return next(iter(masks.values())) if len(masks) == 1 else masks


def layer_kinds(config: Any) -> tuple[str, ...]:
    """The kinds of attention that a model's layers have, in order of appearance."""
    declared = getattr(config, "layer_types", None)
    if declared:
        return tuple(dict.fromkeys(declared))
    return (SLIDING,) if getattr(config, "sliding_window", None) else (FULL,)


def _window(config: Any, kind: str) -> int | None:
    return int(config.sliding_window) if kind == SLIDING and config.sliding_window else None


def _as_wanted(mask: torch.Tensor, config: Any, dtype: torch.dtype) -> torch.Tensor:
    if config._attn_implementation == "sdpa":
        return mask
    added = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return added.masked_fill(~mask, torch.finfo(dtype).min)
