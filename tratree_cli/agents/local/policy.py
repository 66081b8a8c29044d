"""The local engine: one transformers model, many conversations, one forward pass for all.

``generate`` reads the whole history on every turn and draws from one generator for the batch. Here
each conversation keeps its keys and values and its own numbers (``Draws``), and what a turn costs
is its new tokens. Which conversations a forward pass reads is decided by ``PackedPasses`` (what all
of them begin with is read once) or by ``RowPasses``.

What a conversation samples depends on its seed, its setting and its words; its neighbours enter
only through float rounding. The same submissions in the same order give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch

from tratree_cli.agents.local.attention_masks import layer_masks
from tratree_cli.agents.local.model import load_model, stop_tokens, supported_context
from tratree_cli.agents.local.packed_passes import PackedPasses, verified_packed
from tratree_cli.agents.local.row_passes import RowPasses
from tratree_cli.agents.local.rows import Dialogue
from tratree_cli.agents.local.token_sampling import Draws, sample
from tratree_cli.agents.policy import Message, Opening, Reply, Turn
from tratree_cli.formats.rollouts import CONTEXT_OVERFLOW
from tratree_cli.models.chat_encoding import TurnEncoder
from tratree_cli.models.template_arguments import set_arguments

EACH, SHARED = "each", "shared"
"""Ways of reading: every conversation its whole text, or what they begin with once."""


class LocalPolicy:
    """A model folder (or hub name) as a policy.

    ``device`` and ``dtype`` as in ``models.devices``. ``max_context`` (tokens; at most what the
    model has positions for) ends conversations that outgrow it; ``max_new_tokens`` is the longest
    turn. ``reading`` is ``each`` (every conversation reads its whole text) or ``shared`` (what all
    of them begin with is read once, where the model allows it). ``chat_template_kwargs`` are
    arguments of its chat template. Raises ``InputError`` for a model
    that the engine cannot run.
    """

    def __init__(
        self,
        model_dir: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_context: int = 4096,
        max_new_tokens: int = 128,
        reading: str = EACH,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._model, tokenizer = load_model(model_dir, device, dtype)
        set_arguments(tokenizer, chat_template_kwargs or {})
        self._device = self._model.device
        self.chat = TurnEncoder(tokenizer, stop_tokens(self._model))
        self.max_context = min(max_context, supported_context(self._model.config))
        self.max_new_tokens = max_new_tokens
        self._longest = max((len(token) for token in tokenizer.get_vocab()), default=1)
        self._forbidden = self._find_forbidden(len(tokenizer))
        self.passes = self._choose_passes(reading)
        self._dialogues: dict[int, Dialogue] = {}
        self._beginnings: dict[str, list[int]] = {}
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
                beginning=self._beginning(opening.prefix),
            )
            self._dialogues[opening.slot] = dialogue
            self.passes.add(dialogue)

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
        queue, self._queue = self._queue, []
        with torch.inference_mode():
            self.passes.advance(queue, self._sample)
        return self._hand_out()

    @torch.inference_mode()
    def finish(self, slots: Iterable[int]) -> None:
        for slot in slots:
            dialogue = self._dialogues.pop(slot, None)
            if dialogue is None:
                continue
            if dialogue in self._queue:
                self._queue.remove(dialogue)
            self.passes.remove(dialogue)
            self._replies = [reply for reply in self._replies if reply.slot != slot]

    def close(self) -> None:
        self._dialogues, self._queue, self._replies = {}, [], []
        self.passes.clear()

    def transcript(self, slot: int) -> list[int]:
        """All ids of a conversation so far: what was read and what was sampled."""
        dialogue = self._dialogues[slot]
        return dialogue.ids + dialogue.pending

    def _choose_passes(self, reading: str) -> PackedPasses | RowPasses:
        if reading == SHARED:
            window = layer_masks(self._model.config).window
            packed = verified_packed(self._model, self.max_context, window)
            if packed is not None:
                return packed
        return RowPasses(self._model, self.max_context)

    def _beginning(self, prefix: Sequence[Message]) -> list[int]:
        """The ids with which every conversation of a prompt begins."""
        if not prefix:
            return []
        name = json.dumps([dict(message) for message in prefix])
        if name not in self._beginnings:
            first, second = (
                self.chat.whole([*prefix, {"role": "user", "content": word}]) for word in "a7"
            )
            same = (one == other for one, other in zip(first, second, strict=False))
            self._beginnings[name] = first[: sum(takewhile(bool, same))]
        return self._beginnings[name]

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

    # Sampling

    def _sample(self, part: Sequence[Dialogue], logits: torch.Tensor) -> list[Dialogue]:
        """One token for each row of ``logits``; those whose turn ended."""
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
        return ended

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
