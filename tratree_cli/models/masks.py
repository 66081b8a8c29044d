"""Which tokens of a conversation are the agent's own, and therefore the only ones a loss may see.

A chat template says where the agent speaks with ``{% generation %}`` markers; the rendered text is
tokenised once, as a whole, and a token counts when it *begins* inside such a span. That makes the
training sequence the very text a model sees when it acts, at the price of refusing templates
without markers: guessing where the agent speaks would train on observations without a word.

Environments print arbitrary text. A page that contains ``<|im_end|>`` must not end a turn, so the
control tokens are only those that the template itself wrote; the same characters inside a message
are encoded as ordinary text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tratree_cli.errors import InputError

Messages = Sequence[Mapping[str, str]]

MARKER = re.compile(r"\{%-?\s*generation\s*-?%\}")
_STAND_IN = 0xF0000
"""First code point of a private plane; stands in for control tokens that a message quotes."""


@dataclass(frozen=True)
class Encoded:
    """Token ids of a conversation; ``agent_mask[i]`` is 1 where token i is the agent's."""

    input_ids: list[int]
    agent_mask: list[int]

    @property
    def scored(self) -> int:
        """Number of tokens that enter a loss."""
        return sum(self.agent_mask)


def encode_conversation(tokenizer: Any, messages: Messages, context: int = 0) -> Encoded:
    """Tokens of ``messages`` and the mask of the agent's words with their end-of-turn token.

    The first ``context`` messages are read but never scored (an in-context example, or the prefix
    that two preferred continuations share). Raises ``InputError`` for a template without markers.
    """
    return _encoder(tokenizer, tokenizer.chat_template).conversation(messages, context)


def encode_prompt(tokenizer: Any, messages: Messages) -> list[int]:
    """Tokens of ``messages`` up to the point where the agent speaks next.

    A prefix of ``encode_conversation`` of the same messages followed by the agent's turn.
    """
    return _encoder(tokenizer, tokenizer.chat_template).prompt(messages)


def scored_texts(tokenizer: Any, encoded: Encoded) -> list[str]:
    """The scored stretches as text, one for each run of consecutive scored tokens."""
    runs: list[list[int]] = []
    before = 0
    for token, mine in zip(encoded.input_ids, encoded.agent_mask, strict=True):
        if mine and not before:
            runs.append([])
        if mine:
            runs[-1].append(token)
        before = mine
    return [str(tokenizer.decode(run, clean_up_tokenization_spaces=False)) for run in runs]


@functools.lru_cache(maxsize=8)
def _encoder(tokenizer: Any, template: str | None) -> _ChatEncoder:
    return _ChatEncoder(tokenizer, template)


class _ChatEncoder:
    """A tokenizer with its template, and what has to be known about both only once."""

    def __init__(self, tokenizer: Any, template: Any) -> None:
        name = getattr(tokenizer, "name_or_path", "") or "of this model"
        if not isinstance(template, str) or not template:
            raise InputError(
                f"the tokenizer {name} has no chat template; put a chat_template.jinja with "
                "{% generation %} markers beside it (templates/chat has some)"
            )
        if not MARKER.search(template):
            raise InputError(
                f"the chat template of the tokenizer {name} has no {{% generation %}} markers, so "
                "the agent's words cannot be told from the environment's; use one of "
                "templates/chat or add the markers around the assistant's turn"
            )
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f"the tokenizer {name} has no fast version (tokenizer.json), which is needed to "
                "know the place of every token in the text"
            )
        self.tokenizer = tokenizer
        self.template = template
        # Longest first: where one control token begins another, the longer one is meant. Added
        # tokens that are not special are words with a token of their own, no control tokens.
        self.controls = sorted(
            {str(t.content) for t in tokenizer.added_tokens_decoder.values() if t.special},
            key=lambda text: (-len(text), text),
        )
        self.control = re.compile("|".join(map(re.escape, self.controls)) or r"(?!)")
        self.stand_ins = {
            chr(_STAND_IN + number): text for number, text in enumerate(self.controls)
        }

    def conversation(self, messages: Messages, context: int) -> Encoded:
        text, spans = self._render(messages, answer=False)
        answers = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        self._check_spans(text, spans, [messages[i]["content"] for i in answers])
        ids, starts = self._tokens(text)
        mask = [0] * len(ids)
        token = 0
        for (begin, end), message in zip(spans, answers, strict=True):
            while token < len(ids) and starts[token] < begin:
                token += 1
            while token < len(ids) and starts[token] < end:
                mask[token] = int(message >= context)
                token += 1
        return Encoded(ids, mask)

    def prompt(self, messages: Messages) -> list[int]:
        text, _ = self._render(messages, answer=True)
        return self._tokens(text)[0]

    def _render(self, messages: Messages, answer: bool) -> tuple[str, list[tuple[int, int]]]:
        """The rendered text and the character spans of the agent's turns."""
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        hidden = [
            {**message, "content": self.control.sub(self._hide, message["content"])}
            for message in messages
        ]
        try:
            texts, spans = render_jinja_template(
                conversations=[hidden],
                chat_template=self.template,
                return_assistant_tokens_mask=True,
                add_generation_prompt=answer,
                **self.tokenizer.special_tokens_map,
            )
        except TemplateError as error:
            raise InputError(
                f"the chat template cannot render this conversation: {error}; check the order of "
                "its roles, or use one of templates/chat"
            ) from error
        return texts[0], [(int(begin), int(end)) for begin, end in spans[0]]

    def _hide(self, found: re.Match[str]) -> str:
        """A control token quoted by a message, as a stand-in of the same length."""
        return chr(_STAND_IN + self.controls.index(found[0])) * len(found[0])

    def _tokens(self, text: str) -> tuple[list[int], list[int]]:
        """Token ids and the character at which each begins."""
        if not any(stand_in in text for stand_in in self.stand_ins):
            return self._plain(text, quoting=False)
        # Somebody quoted a control token: what the template wrote is encoded as usual, everything
        # between is encoded without looking for control tokens.
        ids: list[int] = []
        starts: list[int] = []
        place = 0
        for piece in re.split(f"({self.control.pattern})", text):
            own = self.control.fullmatch(piece) is not None
            for stand_in, control in self.stand_ins.items():
                piece = piece.replace(stand_in * len(control), control)
            piece_ids, piece_starts = self._plain(piece, quoting=not own)
            ids += piece_ids
            starts += [place + start for start in piece_starts]
            place += len(piece)
        return ids, starts

    def _plain(self, text: str, quoting: bool) -> tuple[list[int], list[int]]:
        encoding = self.tokenizer(
            text,
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            split_special_tokens=quoting,
        )
        return list(encoding["input_ids"]), [start for start, _ in encoding["offset_mapping"]]

    def _check_spans(self, text: str, spans: Sequence[tuple[int, int]], words: list[str]) -> None:
        """The markers must wrap every agent's turn, from its first word to its end-of-turn token.

        A template that ends the turn outside the markers makes a model that never stops.
        """
        if len(spans) != len(words):
            raise InputError(
                f"the chat template marks {len(spans)} agent turns of {len(words)}; put "
                "{% generation %} markers around every assistant message"
            )
        for (begin, end), said in zip(spans, words, strict=True):
            hidden = self.control.sub(self._hide, said).strip()
            before, found, after = text[begin:end].partition(hidden)
            if not found or before.strip() or not after.strip():
                raise InputError(
                    "the chat template's {% generation %} block must hold the agent's words and "
                    "the end-of-turn token and nothing else, or the agent never learns to stop; "
                    f"here it holds {text[begin:end]!r}"
                )
