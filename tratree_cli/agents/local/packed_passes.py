"""Passes over conversations that share their beginning: it is read once, and nothing is padded.

A pass takes one token of every conversation that is being answered, and as many tokens of the
observations that wait to be read as fit; both are rows of the same matrix products, so the weights
are read once for them. A turn is handed out as soon as it ends: whoever follows is read in the next
pass, and the others go on beside it. So no conversation waits for the slowest of its neighbours.

What is in a pass follows from the order of the submissions and from what was sampled, never from
time. A conversation's numbers depend on its neighbours by float rounding only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tratree_cli.agents.local.model import LONGEST_CHECK
from tratree_cli.agents.local.packed_attention import NAME, SHARED, PackedPass, Piece
from tratree_cli.agents.local.packed_cache import PackedCache
from tratree_cli.agents.local.rows import Dialogue, Sample
from tratree_cli.errors import InputError

READ_TOKENS = 2_048
"""So many tokens of observations are read in one pass; more is not faster, and takes memory."""
LEAST_SHARED = 16
"""A shorter beginning is not kept apart."""


class PackedPasses:
    """Reads and answers conversations with ``model``, whose attention becomes ``NAME``.

    ``together`` as in ``PackedPass``; the default suits the device.
    """

    def __init__(self, model: Any, longest: int, *, together: bool | None = None) -> None:
        self._model = model
        self._longest = longest
        self._together = model.device.type != "cpu" if together is None else together
        self._rows: list[Dialogue | None] = []
        self._running: list[Dialogue] = []
        self._waiting: list[Dialogue] = []
        self._shared_ids: list[int] = []
        self._cache = self._empty_cache()
        model.set_attn_implementation(NAME)

    def add(self, dialogue: Dialogue) -> None:
        """Give a new conversation the first free row."""
        free = [row for row, holder in enumerate(self._rows) if holder is None]
        if not free:
            self._rows.append(None)
        dialogue.row = free[0] if free else len(self._rows) - 1
        self._rows[dialogue.row] = dialogue

    def remove(self, dialogue: Dialogue) -> None:
        """Drop a conversation, whatever it is doing."""
        self._rows[dialogue.row] = None
        self._running = [other for other in self._running if other is not dialogue]
        self._waiting = [other for other in self._waiting if other is not dialogue]

    def clear(self) -> None:
        """Drop all conversations and the shared beginning."""
        self._rows, self._running, self._waiting, self._shared_ids = [], [], [], []
        self._cache = self._empty_cache()

    def advance(self, queue: Sequence[Dialogue], sample: Sample) -> None:
        """Read ``queue`` and go on with all until a turn ends."""
        for dialogue in queue:
            self._share(dialogue)
            self._waiting.append(dialogue)
        ended: list[Dialogue] = []
        while not ended and (self._running or self._waiting):
            part, counts = self._next_tokens()
            logits = self._read(part, counts)
            answered = [dialogue for dialogue in part if not dialogue.pending]
            if answered:
                ended = sample(answered, logits)
            gone = {id(dialogue) for dialogue in ended}
            self._running = [dialogue for dialogue in answered if id(dialogue) not in gone]

    def _next_tokens(self) -> tuple[list[Dialogue], list[int]]:
        """The conversations of the next pass, and how many tokens of each: first the running."""
        part = list(self._running)
        counts = [1] * len(part)
        room = READ_TOKENS
        while self._waiting and room:
            dialogue = self._waiting[0]
            count = min(room, len(dialogue.pending))
            part.append(dialogue)
            counts.append(count)
            room -= count
            if count < len(dialogue.pending):
                break
            self._waiting.pop(0)
        return part, counts

    def _share(self, dialogue: Dialogue) -> None:
        """Let a conversation that begins use the shared text, if it begins with it."""
        if len(dialogue.ids) < dialogue.after:
            # Its template renders the beginning otherwise now, so it reads it by itself.
            dialogue.ids, dialogue.pending = [], dialogue.ids + dialogue.pending
            dialogue.after = 0
        beginning = dialogue.beginning
        length = len(beginning)
        if dialogue.ids or length < LEAST_SHARED or dialogue.pending[:length] != beginning:
            return
        if self._shared_ids != beginning:
            if any(other is not None and other.after for other in self._rows):
                return
            self._shared_ids = []
            self._cache.forget_shared()
            self._forward([Piece(SHARED, 0, length)], beginning, [length - 1])
            # Not before: whatever interrupts the pass leaves no beginning that is half read.
            self._shared_ids = list(beginning)
        dialogue.after = length
        dialogue.ids, dialogue.pending = list(beginning), dialogue.pending[length:]

    def _read(self, part: Sequence[Dialogue], counts: Sequence[int]) -> torch.Tensor:
        """Read so many pending tokens of each; logits after the last token of those without more.

        ``[conversations, vocabulary]``, float32.
        """
        pieces: list[Piece] = []
        ids: list[int] = []
        order = sorted(range(len(part)), key=lambda number: counts[number] > 1)
        ends = [0] * len(part)
        for number in order:
            dialogue, count = part[number], counts[number]
            column = len(dialogue.ids) - dialogue.after
            pieces.append(Piece(dialogue.row, column, count, dialogue.after))
            new, dialogue.pending = dialogue.pending[:count], dialogue.pending[count:]
            dialogue.ids += new
            ids += new
            ends[number] = len(ids) - 1
        last = [end for end, dialogue in zip(ends, part, strict=True) if not dialogue.pending]
        # Before anything is kept, all rows must exist.
        columns = max(piece.column + piece.width for piece in pieces)
        self._cache.own.reserve(len(self._rows), columns)
        self._cache.own.use(columns)
        return self._forward(pieces, ids, last)

    def _forward(
        self, pieces: Sequence[Piece], ids: Sequence[int], last: Sequence[int]
    ) -> torch.Tensor:
        device = self._model.device
        spans = [range(piece.position, piece.position + piece.width) for piece in pieces]
        positions = [position for span in spans for position in span]
        numbers = torch.tensor([list(ids), positions], device=device)
        ones = [piece for piece in pieces if piece.width == 1 and piece.row != SHARED]
        out = self._model(
            input_ids=numbers[:1],
            position_ids=numbers[1:],
            past_key_values=self._cache.view,
            use_cache=True,
            logits_to_keep=torch.tensor(last or [0], device=device),
            packed=PackedPass(self._cache, ones, pieces[len(ones) :], device, self._together),
        )
        logits: torch.Tensor = out.logits[0].float()
        return logits[: len(last)]

    def _empty_cache(self) -> PackedCache:
        layers = int(self._model.config.get_text_config().num_hidden_layers)
        paged = self._model.device.type == "cpu"
        return PackedCache(layers, longest=self._longest, paged=paged)


def verified_packed(model: Any, longest: int, window: int | None) -> PackedPasses | None:
    """The passes of ``model`` if they compute what it computes by itself, else None.

    Two conversations are compared on a few tokens (beyond a window, unless that is far): one that
    begins with a shared text and one that does not, read in two pieces and then token by token.
    """
    size = model.get_input_embeddings().weight.shape[0]
    far = window if window and window <= LONGEST_CHECK else 0
    shared = LEAST_SHARED + far // 2
    tokens = shared + 16 + (far - far // 2)
    ids = (torch.arange(tokens + 1) * 7919 + 13) % size
    before = model.config._attn_implementation
    with torch.inference_mode():
        plain = model(input_ids=ids[None].to(model.device), logits_to_keep=2).logits[0]
    try:
        with torch.inference_mode():
            found = _two_conversations(PackedPasses(model, longest), ids.tolist(), shared)
    except (RuntimeError, TypeError, AttributeError, IndexError, ValueError, InputError):
        found = []
    truth = plain.float()
    tolerance = 1e-3 if truth.dtype == plain.dtype else 0.1
    allowed = tolerance * float(truth.abs().max() + 1)
    if found and all(float((logits - truth).abs().max()) <= allowed for logits in found):
        return PackedPasses(model, longest)
    model.set_attn_implementation(before)
    return None


def _two_conversations(passes: PackedPasses, ids: list[int], shared: int) -> list[torch.Tensor]:
    """The logits after the last two of ``ids``, with and without a shared beginning."""
    both = [Dialogue.reading(slot, ids[:-1]) for slot in range(2)]
    both[0].beginning = ids[:shared]
    seen: list[list[torch.Tensor]] = [[], []]

    def sample(part: Sequence[Dialogue], logits: torch.Tensor) -> list[Dialogue]:
        for dialogue, row in zip(part, logits, strict=True):
            seen[dialogue.slot].append(row)
            dialogue.pending = [ids[-1]]
        # One of them may be read in more passes than the other, which goes on meanwhile.
        return list(part) if min(map(len, seen)) >= 2 else []

    for dialogue in both:
        passes.add(dialogue)
    # Read a few tokens first, so that the others come after some of the conversation's own.
    for dialogue in both:
        passes._share(dialogue)
    passes._read(both, [5, 5])
    passes.advance(both, sample)
    return [torch.stack(logits[:2]) for logits in seen]
