"""Passes over neighbouring rows of one cache: new texts first, then a token for each conversation.

All waiting observations are read together, the longest first and padded on the left; then
the answers grow one token per pass. A row whose turn ends leaves the pass, and when half of them
have, the turns are handed out, so that one long answer does not delay the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tratree_cli.agents.local.kv_cache import RowCache
from tratree_cli.agents.local.model import verified_pass
from tratree_cli.agents.local.rows import Dialogue, RowOrder, Sample

PREFILL_TOKENS = 16_384
"""So many tokens (padding included) are read in one pass at most; bounds memory."""


class RowPasses:
    """Reads and answers conversations of up to ``longest`` tokens with ``model``."""

    def __init__(self, model: Any, longest: int) -> None:
        self._model = model
        self._longest = longest
        self.forward = verified_pass(model, self._empty_cache())
        self.clear()

    def add(self, dialogue: Dialogue) -> None:
        """Give a new conversation a row."""
        self._rows.add(dialogue)

    def remove(self, dialogue: Dialogue) -> None:
        """Drop a conversation, whatever it is doing."""
        self._rows.remove(dialogue)

    def clear(self) -> None:
        """Drop all conversations."""
        self._cache = self._empty_cache()
        self._rows = RowOrder(self._cache)

    def advance(self, queue: Sequence[Dialogue], sample: Sample) -> None:
        """Read ``queue`` and go on until half of the turns have ended, at least one."""
        ended = self._read(queue, sample)
        enough = self._rows.running // 2
        while self._rows.running > enough or (self._rows.running and not ended):
            ended += self._pass(self._rows.running_dialogues(), 1, sample)

    def _read(self, queue: Sequence[Dialogue], sample: Sample) -> int:
        """Read all queued texts and sample the first token of each answer."""
        waiting = sorted(queue, key=lambda dialogue: (-len(dialogue.pending), dialogue.slot))
        ended = 0
        # Before rows are exchanged, all of them must exist.
        self._cache.reserve(len(self._rows), self._cache.columns)
        while waiting:
            width = len(waiting[0].pending)
            count = max(1, PREFILL_TOKENS // width)
            part, waiting = waiting[:count], waiting[count:]
            self._rows.start(part)
            ended += self._pass(sorted(part, key=lambda dialogue: dialogue.row), width, sample)
        return ended

    def _pass(self, part: Sequence[Dialogue], width: int, sample: Sample) -> int:
        """Read the pending ids of neighbouring rows (at most ``width`` each) and sample.

        Returns how many turns ended.
        """
        # Plain lists, and one tensor of each: a tensor for every row costs more than a small model.
        ids: list[list[int]] = []
        positions: list[list[int]] = []
        for dialogue in part:
            start, new = len(dialogue.ids), dialogue.pending
            padding = width - len(new)
            ids.append([0] * padding + new)
            positions.append([-1] * padding + list(range(start, start + len(new))))
            dialogue.ids += new
            dialogue.pending = []
        length = max(len(dialogue.ids) for dialogue in part)
        self._cache.reserve(len(self._rows), length)
        logits = self.forward(
            self._cache, part[0].row, torch.tensor(ids), torch.tensor(positions), length
        )
        ended = sample(part, logits)
        # From the last row on: then each is exchanged with a row that is still running, if any.
        for dialogue in reversed(ended):
            self._rows.stop(dialogue)
        return len(ended)

    def _empty_cache(self) -> RowCache:
        layers = int(self._model.config.get_text_config().num_hidden_layers)
        paged = self._model.device.type == "cpu"
        return RowCache(layers, longest=self._longest, paged=paged)
