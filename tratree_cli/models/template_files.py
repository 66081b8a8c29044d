"""Whether a model's files hold a chat template at all, read without any library.

A base model that was never tuned for chat has none. That is known from its files, so it is said
when a training is planned and not after the demonstrations have been made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tratree_cli.errors import InputError

TEMPLATE = "chat_template.jinja"
SIGNS = ("<|im_start|>", "<|start_header_id|>", "[INST]")
"""What shows a format of which tratree ships a template (``chat_templates.FAMILIES``)."""


def require_chat_template(name: str, folder: Path) -> None:
    """``InputError`` where the model in ``folder`` has no chat template and shows no format."""
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file() or _has_template(folder):
        return
    content = tokenizer.read_text(encoding="utf-8", errors="replace")
    if not any(sign in content for sign in SIGNS):
        raise InputError(
            f"the model {name} has no chat template, so nobody knows how it is spoken to; put one "
            f"that marks the assistant's words into {folder / TEMPLATE} (templates/chat has three)"
        )


def own_template(folder: Path) -> str | None:
    """The text of the model's chat template; None where it has none or several, or is not here."""
    try:
        if (folder / TEMPLATE).is_file():
            return (folder / TEMPLATE).read_text(encoding="utf-8")
        template = _settings(folder).get("chat_template")
    except (OSError, ValueError, AttributeError):
        return None
    return template if isinstance(template, str) else None


def _has_template(folder: Path) -> bool:
    if (folder / TEMPLATE).is_file():
        return True
    try:
        return bool(_settings(folder).get("chat_template"))
    except (OSError, ValueError, AttributeError):
        return False


def _settings(folder: Path) -> Any:
    return json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
