"""The local engine: one transformers model, many conversations, one forward pass for all.

``generate`` reads the whole history on every turn and draws from one generator for the batch. Here
each conversation keeps its keys and values (``RowCache``) and its own numbers (``Draws``), and what
a turn costs is its new tokens. New observations are read together (padded on the left inside the
chunk, positions explicit), then the answers grow one token per pass; a row that ends its turn
steps aside, and when half of them have, the replies so far are handed out, so that a talkative
conversation does not hold up the rest.

What a row samples depends on its seed, its setting and its conversation; the shapes of the batch
enter only through float rounding. The same submissions in the same order give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tratree_cli.agents.local.kv_cache import RowCache
from tratree_cli.agents.local.model import (
    load_model,
    stop_tokens,
    supported_context,
    verified_pass,
)
from tratree_cli.agents.local.token_sampling import Draws, sample
from tratree_cli.agents.policy import Message, Opening, Reply, Turn
from tratree_cli.formats.rollouts import CONTEXT_OVERFLOW
from tratree_cli.models.chat_encoding import TurnEncoder

PREFILL_TOKENS = 16_384
"""So many tokens (padding included) are read in one pass at most; bounds memory."""


@dataclass
class _Dialogue:
    """One conversation: ``ids`` are in the cache, ``pending`` must be read next."""

    slot: int
    row: int
    draws: Draws
    temperature: float
    top_p: float
    constrained: bool
    messages: list[Message]
    ids: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    output: list[int] = field(default_factory=list)
    said: str = ""
    budget: int = 0
    allowed: list[list[int]] = field(default_factory=list)


class LocalPolicy:
    """A model folder (or hub name) as a policy.

    ``device`` is ``auto`` (CUDA if there is one), ``cpu`` or ``cuda``; ``dtype`` is ``auto``
    (bfloat16 on CUDA, else float32) or a torch name. ``max_context`` (tokens; at most what the
    model has positions for) ends conversations that outgrow it; ``max_new_tokens`` is the longest
    turn. Raises ``InputError`` for a model that the engine cannot run.
    """

    def __init__(
        self,
        model_dir: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_context: int = 4096,
        max_new_tokens: int = 128,
    ) -> None:
        self._model, tokenizer = load_model(model_dir, device, dtype)
        self._device = self._model.device
        self.chat = TurnEncoder(tokenizer, stop_tokens(self._model))
        self.max_context = min(max_context, supported_context(self._model.config))
        self.max_new_tokens = max_new_tokens
        self._longest = max((len(token) for token in tokenizer.get_vocab()), default=1)
        self._forbidden = self._find_forbidden(len(tokenizer))
        self._cache = self._empty_cache()
        self._pass = verified_pass(self._model, self._empty_cache())
        self._dialogues: dict[int, _Dialogue] = {}
        self._by_row: list[_Dialogue | None] = []
        self._queue: list[_Dialogue] = []
        self._running = 0
        self._replies: list[Reply] = []

    def begin(self, openings: Sequence[Opening]) -> None:
        for opening in openings:
            row = self._free_row()
            setting = opening.setting
            dialogue = _Dialogue(
                slot=opening.slot,
                row=row,
                draws=Draws(opening.seed),
                temperature=float(setting.get("temperature", 1.0)),
                top_p=float(setting.get("top_p", 1.0)),
                constrained=setting.get("constrain") in (True, "available"),
                messages=list(opening.prefix),
            )
            self._dialogues[opening.slot] = self._by_row[row] = dialogue

    def submit(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            dialogue = self._dialogues[turn.slot]
            if not self._take_in(dialogue, turn.observation):
                self._replies.append(Reply(turn.slot, end=CONTEXT_OVERFLOW))
                continue
            room = self.max_context - len(dialogue.ids) - len(dialogue.pending)
            dialogue.budget = min(self.max_new_tokens, room)
            dialogue.output = []
            if dialogue.constrained:
                words = (f"Action: {action}" for action in turn.available())
                dialogue.allowed = [self.chat.continuation(text) for text in words]
            self._queue.append(dialogue)

    def collect(self) -> list[Reply]:
        if self._replies:
            return self._hand_out()
        with torch.inference_mode():
            self._read_queue()
            enough = self._running // 2
            while self._running > enough or (self._running and not self._replies):
                self._decode()
        return self._hand_out()

    def finish(self, slots: Iterable[int]) -> None:
        for slot in slots:
            dialogue = self._dialogues.pop(slot, None)
            if dialogue is None:
                continue
            if dialogue in self._queue:
                self._queue.remove(dialogue)
            if dialogue.row < self._running:
                self._step_aside(dialogue)
            self._by_row[dialogue.row] = None
            self._replies = [reply for reply in self._replies if reply.slot != slot]

    def close(self) -> None:
        self.finish(list(self._dialogues))
        self._cache = self._empty_cache()

    def transcript(self, slot: int) -> list[int]:
        """All ids of a conversation so far: what was read and what was sampled."""
        dialogue = self._dialogues[slot]
        return dialogue.ids + dialogue.pending

    def _empty_cache(self) -> RowCache:
        layers = int(self._model.config.get_text_config().num_hidden_layers)
        paged = self._device.type == "cpu"
        return RowCache(layers, longest=self.max_context, paged=paged)

    # Turning observations into ids

    def _take_in(self, dialogue: _Dialogue, observation: str) -> bool:
        """Queue the ids of an observation; False if the conversation has no room for it."""
        first = not dialogue.ids
        answer = dialogue.said
        if not first:
            dialogue.messages.append({"role": "assistant", "content": answer})
        dialogue.messages.append({"role": "user", "content": observation})
        if len(observation) > self.max_context * self._longest:
            return False
        if first or not self.chat.incremental:
            self._take_whole(dialogue)
        else:
            # What was sampled last is not in the cache yet.
            dialogue.pending += self.chat.following(observation, answer)
        return len(dialogue.ids) + len(dialogue.pending) < self.max_context

    def _take_whole(self, dialogue: _Dialogue) -> None:
        """Read the conversation again from where it first differs from what the cache holds."""
        ids = self.chat.whole(dialogue.messages)
        same = 0
        for old, new in zip(dialogue.ids, ids[:-1], strict=False):
            if old != new:
                break
            same += 1
        dialogue.ids, dialogue.pending = ids[:same], ids[same:]

    def _find_forbidden(self, known: int) -> torch.Tensor:
        """Tokens that an agent's turn never has: control tokens that end nothing, and padding."""
        size = self._model.get_output_embeddings().weight.shape[0]
        forbidden = torch.zeros(size, dtype=torch.bool)
        forbidden[known:] = True
        forbidden[[number for number in self.chat.special_ids if number < size]] = True
        forbidden[[number for number in self.chat.stop_ids if number < size]] = False
        return forbidden.to(self._device)

    # Forward passes

    def _read_queue(self) -> None:
        """Read all queued chunks and sample the first token of each answer."""
        queue = sorted(self._queue, key=lambda one: (-len(one.pending), one.slot))
        self._queue = []
        # Before rows are exchanged, all of them must exist.
        self._cache.reserve(len(self._by_row), self._cache.columns)
        while queue:
            width = len(queue[0].pending)
            count = max(1, PREFILL_TOKENS // width)
            part, queue = queue[:count], queue[count:]
            self._gather(part)
            self._forward(sorted(part, key=lambda one: one.row), width)

    def _decode(self) -> None:
        """One token for each running row."""
        part = [one for one in self._by_row[: self._running] if one is not None]
        self._forward(part, 1)

    def _forward(self, part: Sequence[_Dialogue], width: int) -> None:
        """Read the pending ids of neighbouring rows (at most ``width`` each) and sample."""
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
        self._cache.reserve(len(self._by_row), length)
        logits = self._pass(
            self._cache, part[0].row, torch.tensor(ids), torch.tensor(positions), length
        )
        self._append(part, logits)

    def _append(self, part: Sequence[_Dialogue], logits: torch.Tensor) -> None:
        logits = logits.masked_fill(self._forbidden, float("-inf"))
        for number, dialogue in enumerate(part):
            if dialogue.constrained:
                self._constrain(logits[number], dialogue)
        chosen = sample(
            logits,
            [dialogue.temperature for dialogue in part],
            [dialogue.top_p for dialogue in part],
            [dialogue.draws.next() for dialogue in part],
        )
        ended = []
        for dialogue, token in zip(part, chosen, strict=True):
            if token in self.chat.stop_ids:
                self._answer(dialogue)
                ended.append(dialogue)
                continue
            dialogue.output.append(token)
            dialogue.pending = [token]
            if len(dialogue.output) >= dialogue.budget:
                cut = dialogue.budget < self.max_new_tokens
                self._answer(dialogue, CONTEXT_OVERFLOW if cut else None)
                ended.append(dialogue)
        # From the last row on: then each changes places with one that goes on, if with any.
        for dialogue in reversed(ended):
            self._step_aside(dialogue)

    def _constrain(self, logits: torch.Tensor, dialogue: _Dialogue) -> None:
        """Leave only what continues an available action (``constrain = "available"``)."""
        said = len(dialogue.output)
        fitting = [ids for ids in dialogue.allowed if ids[:said] == dialogue.output]
        next_ids = {ids[said] for ids in fitting if len(ids) > said}
        if any(len(ids) == said for ids in fitting) or not next_ids:
            next_ids |= self.chat.stop_ids
        keep = torch.tensor(sorted(next_ids), device=logits.device)
        kept = logits[keep]
        logits.fill_(float("-inf"))
        logits[keep] = kept

    def _answer(self, dialogue: _Dialogue, end: str | None = None) -> None:
        words = dialogue.said = self.chat.decode(dialogue.output)
        tokens = tuple(dialogue.output)
        reply = (
            Reply(dialogue.slot, words, tokens) if end is None else Reply(dialogue.slot, end=end)
        )
        self._replies.append(reply)

    def _hand_out(self) -> list[Reply]:
        replies, self._replies = self._replies, []
        return replies

    # Rows: those that are being decoded come first, so that a pass reads one slice

    def _free_row(self) -> int:
        for row in range(self._running, len(self._by_row)):
            if self._by_row[row] is None:
                return row
        self._by_row.append(None)
        return len(self._by_row) - 1

    def _gather(self, part: Sequence[_Dialogue]) -> None:
        """Let these run: next to the running rows, in whatever order moves the fewest of them."""
        last = self._running + len(part)
        outside = [dialogue for dialogue in part if dialogue.row >= last]
        inside = {dialogue.row for dialogue in part}
        free = (row for row in range(self._running, last) if row not in inside)
        for dialogue, row in zip(outside, list(free), strict=True):
            self._swap(dialogue.row, row)
        self._running = last

    def _step_aside(self, dialogue: _Dialogue) -> None:
        self._running -= 1
        self._swap(dialogue.row, self._running)

    def _swap(self, one: int, other: int) -> None:
        if one == other:
            return
        first, second = self._by_row[one], self._by_row[other]
        used = [0 if dialogue is None else len(dialogue.ids) for dialogue in (first, second)]
        self._cache.exchange(one, other, *used)
        self._by_row[one], self._by_row[other] = second, first
        for row in (one, other):
            dialogue = self._by_row[row]
            if dialogue is not None:
                dialogue.row = row
