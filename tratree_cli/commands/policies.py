"""Policies as people type them: a model in the store, or a scripted or served one by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tratree_cli.commands.session import Session

if TYPE_CHECKING:
    from tratree_store import Entry

SCRIPTED = ("expert", "random", "human")
PREFIXES = ("openai:", "python:")


def open_policies(session: Session, words: Sequence[str]) -> list[Entry | str]:
    """Names stay names; everything else is a reference to a model."""
    return [
        word if word in SCRIPTED or word.startswith(PREFIXES) else session.entry(word, ("model",))
        for word in words
    ]
