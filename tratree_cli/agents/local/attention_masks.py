"""What each layer of a model may look at: everything before, or a window of the last tokens.

The cache keeps all columns for every layer, so a window is a mask. transformers takes one mask
where all layers look alike, and one by kind of layer where they differ (Gemma, Qwen2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from tratree_cli.errors import InputError

FULL, SLIDING = "full_attention", "sliding_attention"
"""Kinds of layers in ``config.layer_types``."""


@dataclass(frozen=True)
class LayerMasks:
    """``kinds`` maps each kind of layer to its window in tokens (its own included), or None.

    ``mapped`` says whether the model takes a mask by kind.
    """

    kinds: dict[str, int | None]
    mapped: bool

    @property
    def window(self) -> int | None:
        """The smallest window of any layer."""
        return min((window for window in self.kinds.values() if window), default=None)

    def biases(
        self, positions: torch.Tensor, length: int, dtype: torch.dtype
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        """What is added to the scores: ``[rows, 1, tokens, length]``, 0 or minus infinity.

        ``positions`` has shape ``[rows, tokens]``. As a bias, because every layer would make one of
        a mask of truth values.
        """
        by_window: dict[int | None, torch.Tensor] = {}
        for window in self.kinds.values():
            if window not in by_window:
                by_window[window] = _bias(positions, length, window, dtype)
        if not self.mapped:
            (bias,) = by_window.values()
            return bias
        return {kind: by_window[window] for kind, window in self.kinds.items()}


def layer_masks(config: Any) -> LayerMasks:
    """The masks of a model's layers; ``InputError`` for kinds of layers that the engine lacks."""
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None)
    if not getattr(text, "use_sliding_window", True):
        window = None
    present = set(getattr(text, "layer_types", None) or ())
    unknown = present - {FULL, SLIDING}
    if unknown:
        raise InputError(
            f"the local engine knows no layers of the kind {', '.join(sorted(unknown))}; serve the "
            "model and use openai:URL#model"
        )
    window = int(window) if window else None
    if len(present) > 1:
        return LayerMasks({FULL: None, SLIDING: window}, mapped=True)
    if present == {FULL}:
        window = None
    return LayerMasks({SLIDING if window else FULL: window}, mapped=False)


def _bias(
    positions: torch.Tensor, length: int, window: int | None, dtype: torch.dtype
) -> torch.Tensor:
    columns = torch.arange(length, device=positions.device)
    hidden = columns > positions[..., None]
    if window:
        hidden |= columns <= positions[..., None] - window
    bias = torch.zeros(hidden.shape, dtype=dtype, device=positions.device)
    return bias.masked_fill_(hidden, float("-inf"))[:, None]
