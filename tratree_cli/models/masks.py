"""Which tokens of a conversation are the agent's own, and therefore the only ones in a loss.

A chat template marks the agent's turns with ``{% generation %}``; the rendered text is
tokenised once, as a whole, and a token counts when it *begins* inside such a span. That makes the
training sequence the very text a model sees when it acts, at the price of refusing templates
without markers: guessing the agent's turns could train on observations unnoticed.

Control strings that a message quotes stay ordinary text, by the same rule as when the model acts
(``control_tokens``).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tratree_cli.errors import InputError
from tratree_cli.models.control_tokens import ControlTokens
from tratree_cli.models.template_limits import rendered, require_short

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
    """Tokens of ``messages`` and the mask of the agent's turns with their end-of-turn token.

    The first ``context`` messages are read but never scored (an in-context example, or the prefix
    that two preferred continuations share). Raises ``InputError`` for a template without markers.
    """
    return _encoder(tokenizer, tokenizer.chat_template).conversation(messages, context)


def scored_texts(tokenizer: Any, encoded: Encoded) -> list[str]:
    """The scored stretches as text, one for each run of consecutive scored tokens."""
    runs: list[list[int]] = []
    before = 0
    for token, is_scored in zip(encoded.input_ids, encoded.agent_mask, strict=True):
        if is_scored and not before:
            runs.append([])
        if is_scored:
            runs[-1].append(token)
        before = is_scored
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
                "the agent's turns cannot be separated from the environment's; use one of "
                "templates/chat or add the markers around the assistant's turn"
            )
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f"the tokenizer {name} has no fast version (tokenizer.json), which is needed to "
                "know the place of every token in the text"
            )
        self.tokenizer = tokenizer
        self.template = template
        self.controls = ControlTokens(tokenizer, self._written())
        self.stand_ins = {
            chr(_STAND_IN + number): text for number, text in enumerate(self.controls.strings)
        }

    def conversation(self, messages: Messages, context: int) -> Encoded:
        text, spans = self._render(messages)
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

    def _written(self) -> str:
        """What the template itself writes, also where it prompts for the agent's next turn."""
        roles = ("user", "assistant", "user")
        return self._apply([{"role": role, "content": ""} for role in roles], answer=True)[0]

    def _render(self, messages: Messages) -> tuple[str, list[tuple[int, int]]]:
        """The rendered text, quoted control strings hidden, and the spans of the agent's turns."""
        pattern = self.controls.pattern
        return self._apply(
            [
                {**message, "content": pattern.sub(self._hide, message["content"])}
                for message in messages
            ]
        )

    def _apply(self, messages: Messages, answer: bool = False) -> tuple[str, list[tuple[int, int]]]:
        """The template's text of ``messages`` and the character spans of the agent's turns."""
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            texts, spans = rendered(
                self.template,
                lambda: render_jinja_template(
                    conversations=[messages],
                    chat_template=self.template,
                    return_assistant_tokens_mask=True,
                    add_generation_prompt=answer,
                    **self.tokenizer.special_tokens_map,
                ),
            )
        # Whatever a template's operations raise over values that they do not fit.
        except (
            TemplateError,
            ArithmeticError,
            LookupError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            raise InputError(
                f"the chat template cannot render this conversation: {error}; check the order of "
                "its roles, or use one of templates/chat"
            ) from error
        text = require_short(texts[0], sum(len(message["content"]) for message in messages))
        return text, [(int(begin), int(end)) for begin, end in spans[0]]

    def _hide(self, match: re.Match[str]) -> str:
        """A control string quoted by a message, as a stand-in of the same length."""
        return chr(_STAND_IN + self.controls.strings.index(match[0])) * len(match[0])

    def _tokens(self, text: str) -> tuple[list[int], list[int]]:
        """Token ids and the character at which each begins."""
        # Runs of stand-ins are what messages quoted; all else is the template's, or harmless.
        parts = []
        stand_in_runs = f"([{''.join(self.stand_ins)}]+)" if self.stand_ins else r"(?!)"
        for piece in re.split(stand_in_runs, text):
            quoted = piece[:1] in self.stand_ins
            for stand_in, control in self.stand_ins.items() if quoted else ():
                piece = piece.replace(stand_in * len(control), control)
            parts.append((piece, not quoted))
        controls = sum(len(self.controls.pattern.findall(piece)) for piece, own in parts if own)
        return self.controls.encode(parts, None if len(parts) == 1 else controls, starts=True)

    def _check_spans(self, text: str, spans: Sequence[tuple[int, int]], outputs: list[str]) -> None:
        """The markers must wrap every agent's turn, from its first word to its end-of-turn token.

        A template that ends the turn outside the markers makes a model that never stops.
        """
        if len(spans) != len(outputs):
            raise InputError(
                f"the chat template marks {len(spans)} agent turns of {len(outputs)}; put "
                "{% generation %} markers around every assistant message"
            )
        for (begin, end), output in zip(spans, outputs, strict=True):
            hidden = self.controls.pattern.sub(self._hide, output).strip()
            block = text[begin:end]
            before, content, after = block.partition(hidden) if hidden else ("", "", block)
            if content != hidden or before.strip() or not after.strip():
                raise InputError(
                    "the chat template's {% generation %} block must hold the agent's words and "
                    "the end-of-turn token and nothing else, or the agent never learns to stop; "
                    f"here it holds {text[begin:end]!r}"
                )
