"""Conversations to rows of tokens: several documents a row, and none sees another.

Rows have one length, so that a compiled forward pass is compiled once. A document that does not
fit is cut at a turn's end. The loss covers every token of the agent, and a sample of the
user's (reading pages teaches what pages look like, but most of their tokens are random).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tratree_cli.pretraining.corpus import Document
from tratree_cli.pretraining.tokenizer import AGENT, END, USER


@dataclass(frozen=True)
class EncodedDocument:
    """A document's tokens, and which of them are the agent's."""

    tokens: list[int]
    agent_mask: list[bool]


@dataclass(frozen=True)
class Rows:
    """``tokens``, ``document`` (0 = padding) and ``agent_mask``: each (rows, length)."""

    tokens: torch.Tensor
    document: torch.Tensor
    agent_mask: torch.Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, start: int, size: int) -> Rows:
        part = slice(start, start + size)
        return Rows(self.tokens[part], self.document[part], self.agent_mask[part])

    def attention(self) -> torch.Tensor:
        """The additive mask, (rows, 1, length, length): own document and no future."""
        same = self.document[:, :, None] == self.document[:, None, :]
        length = self.tokens.shape[1]
        past = torch.ones(length, length, dtype=torch.bool).tril()
        mask = torch.zeros(same.shape)
        mask.masked_fill_(~(same & past), float("-inf"))
        return mask[:, None]


def encode(documents: Sequence[Document], tokenizer: Any, limit: int) -> list[EncodedDocument]:
    """The same tokens that the chat template gives, in one pass over all contents.

    A document of more than ``limit`` tokens is cut at a turn's end.
    """
    texts = [text for document in documents for turn in document.turns for text in turn]
    pieces = iter(tokenizer(texts, add_special_tokens=False)["input_ids"])
    user, agent, end = tokenizer.convert_tokens_to_ids([USER, AGENT, END])
    encoded = []
    for document in documents:
        tokens: list[int] = []
        agent_mask: list[bool] = []
        full = False
        for _ in document.turns:
            question, answer = [user, *next(pieces), agent], [*next(pieces), end]
            full = full or len(tokens) + len(question) + len(answer) > limit
            if not full:
                tokens += question + answer
                agent_mask += [False] * len(question) + [True] * len(answer)
        encoded.append(EncodedDocument(tokens, agent_mask))
    return [document for document in encoded if document.tokens]


def pack(encoded: Sequence[EncodedDocument], padding: int, length: int) -> Rows:
    """Rows of ``length`` tokens; first fit, longest first: under one per cent of padding."""
    rows: list[list[EncodedDocument]] = []
    room: list[int] = []
    for document in sorted(encoded, key=lambda d: -len(d.tokens)):
        size = len(document.tokens)
        place = next((i for i, left in enumerate(room) if left >= size), None)
        if place is None:
            place = len(rows)
            rows.append([])
            room.append(length)
        rows[place].append(document)
        room[place] -= size
    tokens = torch.full((len(rows), length), padding)
    number = torch.zeros((len(rows), length), dtype=torch.long)
    agent_mask = torch.zeros((len(rows), length), dtype=torch.bool)
    for i, row in enumerate(rows):
        at = 0
        for k, document in enumerate(row, start=1):
            part = slice(at, at + len(document.tokens))
            tokens[i, part] = torch.tensor(document.tokens)
            number[i, part] = k
            agent_mask[i, part] = torch.tensor(document.agent_mask)
            at = part.stop
    return Rows(tokens, number, agent_mask)
