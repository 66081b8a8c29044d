"""The two loops that the engine is compared with, written as people write them.

Both ask ``generate`` for the next turn over the whole history, as ETO and its descendants do: one
episode at a time (``rows=1``), or all live episodes padded into one batch. They are policies, so
that the rollout loop, the environment and the rules are the same for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from tratree_cli.agents.local.model import load_model
from tratree_cli.agents.policy import Opening, Reply, Turn


class Generating:
    """Answers turns with ``model.generate`` on whole conversations, ``rows`` at a time."""

    def __init__(
        self, model_dir: str, rows: int, max_new_tokens: int, device: str = "auto"
    ) -> None:
        self.model, self.tokenizer = load_model(model_dir, device)
        self.tokenizer.padding_side = "left"
        self.rows = rows
        self.max_new_tokens = max_new_tokens
        self.messages: dict[int, list[dict[str, str]]] = {}
        self.waiting: list[int] = []

    def begin(self, openings: Sequence[Opening]) -> None:
        for opening in openings:
            self.messages[opening.slot] = [dict(message) for message in opening.prefix]

    def submit(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self.messages[turn.slot].append({"role": "user", "content": turn.observation})
            self.waiting.append(turn.slot)

    def collect(self) -> list[Reply]:
        now, self.waiting = self.waiting[: self.rows], self.waiting[self.rows :]
        inputs: Any = self.tokenizer.apply_chat_template(
            [self.messages[slot] for slot in now],
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            padding=True,
        ).to(self.model.device)
        with torch.inference_mode():
            out = self.model.generate(
                **inputs, max_new_tokens=self.max_new_tokens, do_sample=True, top_k=0
            )
        replies = []
        for slot, row in zip(now, out[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
            ids = [token for token in row if token != self.tokenizer.pad_token_id]
            text = self.tokenizer.decode(ids, skip_special_tokens=True)
            self.messages[slot].append({"role": "assistant", "content": text})
            replies.append(Reply(slot, text, tuple(ids)))
        return replies

    def finish(self, slots: Iterable[int]) -> None:
        for slot in slots:
            self.messages.pop(slot, None)

    def close(self) -> None:
        self.messages.clear()
