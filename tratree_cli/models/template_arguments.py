"""Arguments of a model's chat template (``chat_template_kwargs``, such as Qwen3's enable_thinking).

They are written into the template itself, as a line before its first one: what renders it anywhere
(encoders, trainers, engines, other programs that get the model) renders it with them, and what is
trained brings them along. A base model with arguments is another model, and its identity says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tratree_cli.errors import InputError

MARK = "?chat_template_kwargs="
"""What separates the identity of a base model's files from the arguments of its template."""
RESERVED = (
    "messages", "tools", "documents", "add_generation_prompt", "continue_final_message",
    "chat_template", "tokenize", "return_dict", "return_tensors", "return_assistant_tokens_mask",
    "padding", "truncation", "max_length", "bos_token", "eos_token", "pad_token", "unk_token",
)  # fmt: skip
"""What whoever renders a template gives it."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def require_arguments(arguments: Mapping[str, Any], origin: str) -> None:
    """``InputError``, which names ``origin``, for what cannot be an argument of a template."""
    for name, value in arguments.items():
        if name in RESERVED:
            raise InputError(f"{origin}: '{name}' is given to every template and cannot be set")
        if not _NAME.fullmatch(name):
            raise InputError(f"{origin}: '{name}' is no name that a template can read")
        try:
            json.dumps(value, allow_nan=False)
        except (ValueError, TypeError, RecursionError):
            raise InputError(f"{origin}: '{name}' has a value that JSON cannot hold") from None


def require_read(template: str, arguments: Mapping[str, Any], origin: str) -> None:
    """``InputError`` for an argument that the template's text never mentions."""
    words = set(_NAME.findall(template))
    for name in arguments:
        if name not in words:
            raise InputError(
                f"{origin}: the chat template never reads '{name}', so it would change nothing; "
                "leave it out"
            )


def with_arguments(template: Any, arguments: Mapping[str, Any], origin: str) -> Any:
    """``template`` with its arguments set in a line before it; as it is where there are none."""
    if not arguments:
        return template
    if not isinstance(template, str):
        raise InputError(f"{origin}: the model has no single chat template that could read them")
    require_read(template, arguments, origin)
    # A tag and the newline after it leave nothing (transformers sets ``trim_blocks``).
    lines = [f"{{% set {name} = {_literal(arguments[name])} %}}\n" for name in sorted(arguments)]
    return "".join(lines) + template


def set_arguments(tokenizer: Any, arguments: Mapping[str, Any]) -> None:
    """Give a tokenizer's chat template its arguments."""
    if arguments:
        template = tokenizer.chat_template
        tokenizer.chat_template = with_arguments(template, arguments, "chat_template_kwargs")


def identified(identity: str, arguments: Mapping[str, Any]) -> str:
    """The identity of a base model whose template has ``arguments``."""
    if not arguments:
        return identity
    return identity + MARK + json.dumps(arguments, sort_keys=True, separators=(",", ":"))


def files_of(identity: str) -> str:
    """The identity of the files alone."""
    return identity.partition(MARK)[0]


def arguments_of(identity: str) -> dict[str, Any]:
    """The arguments that an identity (or a policy's name that holds one) tells of."""
    text = identity.partition(MARK)[2]
    return dict(json.loads(text)) if text else {}


def _literal(value: Any) -> str:
    """A JSON value as Jinja writes it."""
    if isinstance(value, Mapping):
        items = (f"{json.dumps(k, ensure_ascii=False)}: {_literal(v)}" for k, v in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
