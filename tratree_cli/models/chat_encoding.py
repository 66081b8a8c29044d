"""Conversations that grow, as token ids: exactly the chat template's, turn by turn.

A template is rendered once with placeholders in place of the contents, which gives its *skeleton*:
the pieces of text between contents. Joining a skeleton with real contents gives the template's own
rendering without running it, and the pieces after the first turns are what a growing conversation
appends. All this is checked against the template itself when an encoder is made; a template whose
earlier turns change as the conversation grows is read again from the start on every turn.

The skeleton also determines how many control tokens an encoding may have, so that a control string
in an observation never becomes a control token (``control_tokens``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from tratree_cli.errors import InputError
from tratree_cli.models.control_tokens import ControlTokens
from tratree_cli.models.template_limits import rendered, require_short

Message = Mapping[str, str]
"""``{"role": "system" | "user" | "assistant", "content": text}``."""

_MARK = "\ue000{}\ue001"
_SAMPLES = ("Open the door [SEP] 3 mugs.", "Thought: I go.\nAction: go[hall]", "You see a\n\nlamp.")


class TurnEncoder:
    """Encodes conversations for one tokenizer; ``tokenizer`` is a transformers tokenizer.

    ``stop_ids`` are the tokens that end the agent's turn (``stops`` and those that the template
    writes). ``controls`` never come from contents; those that the tokenizer calls special an agent
    may not sample either. ``incremental``: whether ``following`` may be used.
    """

    def __init__(self, tokenizer: Any, stops: Iterable[int] = ()) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise InputError("the model's tokenizer has no chat template; add chat_template.jinja")
        self._tokenizer = tokenizer
        self.skeleton = cache(self._skeleton)
        written = "".join(self.skeleton(("user", "assistant", "user")))
        self.controls = ControlTokens(tokenizer, written)
        self._trims = self._find_trimming()
        self._controls_in = cache(
            lambda text: self.controls.count(self.controls.template_ids(text))
        )
        opening = self.skeleton(("user",))
        longer = self.skeleton(("user", "assistant", "user"))
        self._generation = opening[-1]
        self._between = longer[2]
        self.stop_ids = self._find_stops() | frozenset(stops)
        first = self.controls.pattern.search(self._between)
        self._closing = self._between[: first.start()] if first else ""
        self.incremental = self._check()

    def whole(self, messages: Sequence[Message]) -> list[int]:
        """All ids of ``messages`` (the last one the user's) and the generation prompt."""
        pieces = self.skeleton(tuple(message["role"] for message in messages))
        contents = [self._content(message) for message in messages]
        return self._encode(pieces, contents)

    def following(self, observation: str, output: str = "") -> list[int]:
        """The ids between the agent's ``output`` and its next turn, which ``observation`` precedes.

        They begin with what ends the agent's turn; plain text of that kind that the agent already
        wrote itself is not repeated.
        """
        between = self._between
        if self._closing and output.endswith(self._closing):
            between = between[len(self._closing) :]
        content = self._content({"role": "user", "content": observation})
        return self._encode([between, self._generation], [content])

    def continuation(self, text: str) -> list[int]:
        """The ids of a text that the agent might output, for constrained decoding."""
        return self.controls.text_ids(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of sampled ids."""
        text: str = self._tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _content(self, message: Message) -> str:
        text = message["content"]
        return text.strip() if self._trims.get(message["role"], False) else text

    def _render(self, roles: Sequence[str], contents: Sequence[str]) -> str:
        messages = [
            {"role": role, "content": text} for role, text in zip(roles, contents, strict=True)
        ]
        try:
            text: str = self._apply(messages, tokenize=False)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"the chat template cannot render {' '.join(roles)}: {error}"
            ) from error
        return require_short(text, sum(map(len, contents)))

    def _apply(self, messages: Sequence[Message], **options: Any) -> Any:
        return rendered(
            self._tokenizer.chat_template,
            lambda: self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, **options
            ),
        )

    def _skeleton(self, roles: tuple[str, ...]) -> list[str]:
        """The template's pieces around the contents, one more than there are messages."""
        marks = [_MARK.format(number) for number in range(len(roles))]
        rest, pieces = self._render(roles, marks), []
        for mark in marks:
            piece, is_there, rest = rest.partition(mark)
            if not is_there:
                raise InputError("the chat template leaves messages out or changes their order")
            pieces.append(piece)
        return [*pieces, rest]

    def _find_trimming(self) -> dict[str, bool]:
        roles = ("user", "assistant", "user")
        text = self._render(roles, [f"  {_MARK.format(number)}  " for number in range(3)])
        return {
            "user": f"  {_MARK.format(2)}  " not in text,
            "assistant": f"  {_MARK.format(1)}  " not in text,
        }

    def _find_stops(self) -> frozenset[int]:
        first = self.controls.pattern.search(self._between)
        stops = {self._tokenizer.eos_token_id} - {None}
        if first and not self._between[: first.start()].strip():
            stops.add(self.controls.template_ids(first.group())[0])
        return frozenset(stops)

    def _check(self) -> bool:
        """Compare with the tokenizer's own encoding; whether turns may be appended."""
        roles = ("user", "assistant", "user", "assistant", "user")
        texts = [_SAMPLES[number % 3] for number in range(5)]
        messages = [{"role": r, "content": t} for r, t in zip(roles, texts, strict=True)]
        truth = self._apply(messages, tokenize=True, return_dict=False)
        if self.whole(messages) != list(truth):
            raise InputError(
                "the chat template treats contents specially, which the local engine cannot "
                "follow; serve the model and use openai:URL#model"
            )
        pieces = self.skeleton(roles)
        return (
            pieces[0] == self.skeleton(("user",))[0]
            and all(pieces[i].startswith(self._generation) for i in (1, 3))
            and not any(pieces[i][len(self._generation) :].strip() for i in (1, 3))
            and pieces[2] == pieces[4] == self._between
            and pieces[5] == self._generation
        )

    def _encode(self, pieces: Sequence[str], contents: Sequence[str]) -> list[int]:
        parts = [(pieces[0], True)]
        for content, piece in zip(contents, pieces[1:], strict=True):
            parts += [(content, False), (piece, True)]
        return self.controls.encode(parts, sum(map(self._controls_in, pieces)))[0]
