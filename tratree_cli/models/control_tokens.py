"""Control tokens of a chat format, and text that never becomes one. Training and acting share this.

Environments print arbitrary text. A page that contains ``<|im_end|>`` must not end a turn, so
control tokens come from the chat template alone; the same characters in a message are encoded as
ordinary text. Control tokens are the tokenizer's special tokens and those other added tokens that
the template itself writes (``<think>``); the rest of the added tokens are words with a token of
their own.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Part = tuple[str, bool]
"""A stretch of a conversation, and whether the chat template wrote it."""
Tokens = tuple[list[int], list[int]]
"""Token ids, and the character at which each begins (empty where it is not needed)."""


class ControlTokens:
    """The control tokens of a transformers ``tokenizer`` whose template writes ``written``.

    ``special_ids`` are those of ``ids`` that the tokenizer itself calls special; ``pattern`` finds
    their strings, the longer one where one begins another.
    """

    def __init__(self, tokenizer: Any, written: str) -> None:
        self._tokenizer = tokenizer
        added = {n: t for n, t in tokenizer.added_tokens_decoder.items() if str(t)}
        strings = {
            int(number): str(token)
            for number, token in added.items()
            if token.special or (str(token).strip() and str(token) in written)
        }
        self.ids = frozenset(strings)
        self.special_ids = frozenset(number for number in strings if added[number].special)
        self.strings = sorted(set(strings.values()), key=lambda text: (-len(text), text))
        self.pattern = re.compile("|".join(map(re.escape, self.strings)) or r"(?!)")

    def count(self, ids: Sequence[int]) -> int:
        """How many of ``ids`` are control tokens."""
        return sum(number in self.ids for number in ids)

    def template_ids(self, text: str) -> list[int]:
        """Ids of what the template wrote: control strings become control tokens."""
        return self._encode(text, split=False, starts=False)[0]

    def text_ids(self, text: str) -> list[int]:
        """Ids of mere text: control strings in it are spelled out like any other words."""
        return self._text(text, starts=False)[0]

    def encode(self, parts: Sequence[Part], controls: int | None, starts: bool = False) -> Tokens:
        """Tokens of a conversation of which the template wrote ``controls`` control tokens.

        One encoding of the whole text, unless that has another number of them (None: any will do);
        then the template's control strings and the texts between them are encoded separately.
        """
        encoded = self._encode("".join(text for text, _ in parts), split=False, starts=starts)
        if controls is None or self.count(encoded[0]) == controls:
            return encoded
        ids: list[int] = []
        places: list[int] = []
        begin = 0
        for text, is_control in self._pieces(parts):
            encode: Callable[..., Tokens] = self._control if is_control else self._text
            piece_ids, piece_starts = encode(text, starts=starts)
            ids += piece_ids
            places += [begin + start for start in piece_starts]
            begin += len(text)
        return ids, places

    def _pieces(self, parts: Sequence[Part]) -> Iterator[Part]:
        """Each control string of the template, and the text between two of them."""
        between = ""
        for text, from_template in parts:
            place = 0
            for match in self.pattern.finditer(text) if from_template else ():
                yield between + text[place : match.start()], False
                yield match.group(), True
                between, place = "", match.end()
            between += text[place:]
        yield between, False

    def _control(self, text: str, starts: bool) -> Tokens:
        return self._encode(text, split=False, starts=starts)

    def _text(self, text: str, starts: bool) -> Tokens:
        encoded = self._encode(text, split=True, starts=starts)
        if not self.count(encoded[0]):
            return encoded
        # Control tokens that the tokenizer does not call special: broken after a character.
        cuts = [0, *(match.start() + 1 for match in self.pattern.finditer(text)), len(text)]
        ids: list[int] = []
        places: list[int] = []
        for begin, end in itertools.pairwise(cuts):
            piece_ids, piece_starts = self._encode(text[begin:end], split=True, starts=starts)
            kept = [number not in self.ids for number in piece_ids]
            ids += [number for number, keep in zip(piece_ids, kept, strict=True) if keep]
            places += [
                begin + start for start, keep in zip(piece_starts, kept, strict=False) if keep
            ]
        return ids, places

    def _encode(self, text: str, split: bool, starts: bool) -> Tokens:
        encoding = self._tokenizer(
            text,
            add_special_tokens=False,
            split_special_tokens=split,
            return_attention_mask=False,
            return_offsets_mapping=starts,
        )
        places = [start for start, _ in encoding["offset_mapping"]] if starts else []
        return list(encoding["input_ids"]), places
