"""The local engine: one transformers model, many conversations, one forward pass for all.

``generate`` reads the whole history on every turn and draws from one generator for the batch. Here
each conversation keeps its keys and values (``RowCache``) and its own numbers (``Draws``), and what
a turn costs is its new tokens. New observations are read together (padded on the left inside the
chunk, positions explicit), then the answers grow one token per pass; a row whose turn
ends leaves the pass, and when half of them have, the replies so far are returned, so that one long
answer does not delay the rest.

What a row samples depends on its seed, its setting and its conversation; the shapes of the batch
enter only through float rounding. The same submissions in the same order give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tratree_cli.agents.local.kv_cache import RowCache
from tratree_cli.agents.local.model import (
    load_model,
    stop_tokens,
    supported_context,
    verified_pass,
)
from tratree_cli.agents.local.rows import Dialogue, RowOrder
from tratree_cli.agents.local.token_sampling import Draws, sample
from tratree_cli.agents.policy import Opening, Reply, Turn
from tratree_cli.formats.rollouts import CONTEXT_OVERFLOW
from tratree_cli.models.chat_encoding import TurnEncoder

PREFILL_TOKENS = 16_384
"""So many tokens (padding included) are read in one pass at most; bounds memory."""


class LocalPolicy:
    """A model folder (or hub name) as a policy.

    ``device`` and ``dtype`` as in ``models.devices``. ``max_context`` (tokens; at most what the
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
        self._dialogues: dict[int, Dialogue] = {}
        self._rows = RowOrder(self._cache)
        self._queue: list[Dialogue] = []
        self._replies: list[Reply] = []

    def begin(self, openings: Sequence[Opening]) -> None:
        for opening in openings:
            setting = opening.setting
            dialogue = Dialogue(
                slot=opening.slot,
                draws=Draws(opening.seed),
                temperature=float(setting.get("temperature", 1.0)),
                top_p=float(setting.get("top_p", 1.0)),
                constrained=setting.get("constrain") in (True, "available"),
                messages=list(opening.prefix),
            )
            self._dialogues[opening.slot] = dialogue
            self._rows.add(dialogue)

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
                outputs = (f"Action: {action}" for action in turn.available())
                dialogue.allowed = [self.chat.continuation(output) for output in outputs]
            self._queue.append(dialogue)

    def collect(self) -> list[Reply]:
        if self._replies:
            return self._hand_out()
        with torch.inference_mode():
            self._read_queue()
            enough = self._rows.running // 2
            while self._rows.running > enough or (self._rows.running and not self._replies):
                self._decode()
        return self._hand_out()

    @torch.inference_mode()
    def finish(self, slots: Iterable[int]) -> None:
        for slot in slots:
            dialogue = self._dialogues.pop(slot, None)
            if dialogue is None:
                continue
            if dialogue in self._queue:
                self._queue.remove(dialogue)
            self._rows.remove(dialogue)
            self._replies = [reply for reply in self._replies if reply.slot != slot]

    def close(self) -> None:
        self._dialogues, self._queue, self._replies = {}, [], []
        self._cache = self._empty_cache()
        self._rows = RowOrder(self._cache)

    def transcript(self, slot: int) -> list[int]:
        """All ids of a conversation so far: what was read and what was sampled."""
        dialogue = self._dialogues[slot]
        return dialogue.ids + dialogue.pending

    def _empty_cache(self) -> RowCache:
        layers = int(self._model.config.get_text_config().num_hidden_layers)
        paged = self._device.type == "cpu"
        return RowCache(layers, longest=self.max_context, paged=paged)

    # Turning observations into ids

    def _take_in(self, dialogue: Dialogue, observation: str) -> bool:
        """Queue the ids of an observation; False if the conversation has no room for it."""
        first = not dialogue.ids
        if not first:
            dialogue.messages.append({"role": "assistant", "content": dialogue.answer})
        dialogue.messages.append({"role": "user", "content": observation})
        if len(observation) > self.max_context * self._longest:
            return False
        if first or not self.chat.incremental:
            self._take_whole(dialogue)
        else:
            # What was sampled last is not in the cache yet.
            dialogue.pending += self.chat.following(observation, dialogue.answer)
        return len(dialogue.ids) + len(dialogue.pending) < self.max_context

    def _take_whole(self, dialogue: Dialogue) -> None:
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
        forbidden[[number for number in self.chat.controls.special_ids if number < size]] = True
        forbidden[[number for number in self.chat.stop_ids if number < size]] = False
        return forbidden.to(self._device)

    # Forward passes

    def _read_queue(self) -> None:
        """Read all queued chunks and sample the first token of each answer."""
        queue = sorted(self._queue, key=lambda waiting: (-len(waiting.pending), waiting.slot))
        self._queue = []
        # Before rows are exchanged, all of them must exist.
        self._cache.reserve(len(self._rows), self._cache.columns)
        while queue:
            width = len(queue[0].pending)
            count = max(1, PREFILL_TOKENS // width)
            part, queue = queue[:count], queue[count:]
            self._rows.start(part)
            self._forward(sorted(part, key=lambda dialogue: dialogue.row), width)

    def _decode(self) -> None:
        """One token for each running row."""
        self._forward(self._rows.running_dialogues(), 1)

    def _forward(self, part: Sequence[Dialogue], width: int) -> None:
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
        self._cache.reserve(len(self._rows), length)
        logits = self._pass(
            self._cache, part[0].row, torch.tensor(ids), torch.tensor(positions), length
        )
        self._append(part, logits)

    def _append(self, part: Sequence[Dialogue], logits: torch.Tensor) -> None:
        logits = logits.masked_fill(self._forbidden, float("-inf"))
        if self._device.type == "mps":
            logits = logits.cpu()  # Sampling needs float64, which there is not on Apple's GPUs.
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
        # From the last row on: then each is exchanged with a row that is still running, if any.
        for dialogue in reversed(ended):
            self._rows.stop(dialogue)

    def _constrain(self, logits: torch.Tensor, dialogue: Dialogue) -> None:
        """Leave only what continues an available action (``constrain = "available"``)."""
        sampled = len(dialogue.output)
        fitting = [ids for ids in dialogue.allowed if ids[:sampled] == dialogue.output]
        next_ids = {ids[sampled] for ids in fitting if len(ids) > sampled}
        if any(len(ids) == sampled for ids in fitting) or not next_ids:
            next_ids |= self.chat.stop_ids
        keep = torch.tensor(sorted(next_ids), device=logits.device)
        kept = logits[keep]
        logits.fill_(float("-inf"))
        logits[keep] = kept

    def _answer(self, dialogue: Dialogue, end: str | None = None) -> None:
        dialogue.answer = self.chat.decode(dialogue.output)
        if end is None:
            reply = Reply(dialogue.slot, dialogue.answer, tuple(dialogue.output))
        else:
            reply = Reply(dialogue.slot, end=end)
        self._replies.append(reply)

    def _hand_out(self) -> list[Reply]:
        replies, self._replies = self._replies, []
        return replies


def open_local(argument: str, options: Mapping[str, Any], batch: int) -> LocalPolicy:
    """The model in the folder ``argument`` (or of that name on the hub)."""
    return LocalPolicy(argument, **options)
