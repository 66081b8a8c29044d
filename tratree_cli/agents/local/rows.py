"""Which row of the key-value cache each conversation has.

Conversations that are being decoded come first, so that a forward pass reads one slice. Rows change
places for that, as few of them as possible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from tratree_cli.agents.local.kv_cache import RowCache
from tratree_cli.agents.local.token_sampling import Draws
from tratree_cli.agents.policy import Message


@dataclass
class Dialogue:
    """One conversation: ``ids`` are in the cache at ``row``, ``pending`` must be read next.

    ``output`` are the tokens of the turn that is being sampled, ``answer`` the text of the last
    one; ``budget`` is how many tokens the turn may have, ``allowed`` the ids of the actions that
    may be sampled where the conversation is ``constrained``. ``beginning`` are the ids with which
    all conversations of its prompt begin; ``after`` of its ids are kept for all of them together
    (``packed_passes``).
    """

    slot: int
    draws: Draws
    temperature: float
    top_p: float
    constrained: bool
    messages: list[Message]
    row: int = -1
    ids: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    output: list[int] = field(default_factory=list)
    answer: str = ""
    budget: int = 0
    allowed: list[list[int]] = field(default_factory=list)
    beginning: list[int] = field(default_factory=list)
    after: int = 0

    @classmethod
    def reading(cls, slot: int, ids: Sequence[int]) -> Dialogue:
        """A conversation without words, which is about to read ``ids``."""
        return cls(slot, Draws(slot), 0.0, 1.0, False, [], pending=list(ids))


Sample = Callable[[Sequence[Dialogue], torch.Tensor], list[Dialogue]]
"""Takes conversations and their logits, samples a token for each, returns those that ended."""


class RowOrder:
    """The conversations of ``cache``; the first ``running`` rows are being decoded."""

    def __init__(self, cache: RowCache) -> None:
        self._cache = cache
        self._by_row: list[Dialogue | None] = []
        self.running = 0

    def __len__(self) -> int:
        return len(self._by_row)

    def running_dialogues(self) -> list[Dialogue]:
        """Those that are being decoded, by row."""
        return [dialogue for dialogue in self._by_row[: self.running] if dialogue is not None]

    def add(self, dialogue: Dialogue) -> None:
        """Give a new conversation a row behind the running ones."""
        dialogue.row = self._free_row()
        self._by_row[dialogue.row] = dialogue

    def remove(self, dialogue: Dialogue) -> None:
        if dialogue.row < self.running:
            self.stop(dialogue)
        self._by_row[dialogue.row] = None

    def start(self, part: Sequence[Dialogue]) -> None:
        """Let these run: next to the running rows, in whatever order moves the fewest of them."""
        last = self.running + len(part)
        outside = [dialogue for dialogue in part if dialogue.row >= last]
        inside = {dialogue.row for dialogue in part}
        free = (row for row in range(self.running, last) if row not in inside)
        for dialogue, row in zip(outside, list(free), strict=True):
            self._exchange(dialogue.row, row)
        self.running = last

    def stop(self, dialogue: Dialogue) -> None:
        """The turn is over; the last running conversation takes the row."""
        self.running -= 1
        self._exchange(dialogue.row, self.running)

    def _free_row(self) -> int:
        for row in range(self.running, len(self._by_row)):
            if self._by_row[row] is None:
                return row
        self._by_row.append(None)
        return len(self._by_row) - 1

    def _exchange(self, row: int, with_row: int) -> None:
        if row == with_row:
            return
        first, second = self._by_row[row], self._by_row[with_row]
        used = [0 if dialogue is None else len(dialogue.ids) for dialogue in (first, second)]
        self._cache.exchange(row, with_row, *used)
        self._by_row[row], self._by_row[with_row] = second, first
        for place in (row, with_row):
            dialogue = self._by_row[place]
            if dialogue is not None:
                dialogue.row = place
