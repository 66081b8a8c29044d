"""A chat template that marks the assistant's turns, for models that were published without one.

Almost no model on the hub marks the assistant's turns in its template, so refusing all others
would refuse nearly every model. A model whose template TRL has gets that template with markers; one
of the Llama-2, Llama-3 or ChatML format, which its special tokens show, gets tratree's from
``templates/chat``. The result is stored with whatever is trained, so that training and acting agree
on every character. Anything else stays as it is and is refused when something is to be encoded:
guessing would train on observations unnoticed.
"""

from __future__ import annotations

from typing import Any

from tratree_cli.models.masks import MARKER
from tratree_cli.resources import templates_dir

FAMILIES = {
    "qwen2.5": "<|im_start|>",
    "llama3": "<|start_header_id|>",
    "llama2": "[INST]",
}
"""Shipped templates, and what in a tokenizer's vocabulary or template shows their format."""


def marked_template(tokenizer: Any) -> tuple[str | None, str]:
    """``(template, note)``: one with markers if possible, and a sentence where it is not its own.

    A template of an unknown format comes back as it is; encoding refuses it (``masks``).
    """
    own = tokenizer.chat_template
    if isinstance(own, str) and MARKER.search(own):
        return own, ""
    known = _trained(tokenizer) if isinstance(own, str) and own else None
    if known is not None:
        return known, ""
    for family, sign in FAMILIES.items():
        if sign in tokenizer.get_vocab() or (isinstance(own, str) and sign in own):
            shipped = (templates_dir() / "chat" / f"{family}.jinja").read_text(encoding="utf-8")
            lacks = "no markers around the agent's words" if own else "none"
            return shipped, (
                f"of the chat templates, the model has {lacks}, so templates/chat/{family}.jinja "
                "is used and stored with the trained model"
            )
    return own, ""


def _trained(tokenizer: Any) -> str | None:
    """TRL's version, with markers, of a published template, compared letter by letter."""
    from trl.chat_template_utils import get_training_chat_template

    try:
        template = get_training_chat_template(tokenizer)
    except ValueError:
        return None
    return template if isinstance(template, str) and MARKER.search(template) else None
