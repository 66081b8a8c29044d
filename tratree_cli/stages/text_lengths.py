"""How many tokens the rows of a training have, for a forecast of its memory.

Only the longest texts are counted, with the model's own tokenizer file and without transformers, so
that a plan stays quick. A chat template's own tokens are an allowance for each message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli.models.memory import Rows

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.training.trainer import Messages

OF_A_MESSAGE = 4
"""Tokens of a chat template around a message: ChatML has five, the embedded models two."""
COUNTED = 64
"""So many of the longest texts are counted."""
READ = 32 << 20
"""Bytes of a compressed artifact beyond which it is not read for a plan."""


@dataclass(frozen=True)
class RowLength:
    """Tokens of a row, and how many of them are the agent's."""

    tokens: int
    scored: int


def at_the_limit(rows: int, limit: int) -> Rows:
    """Rows of unknown texts: all as long as they may be, a third of it the agent's."""
    return Rows(rows, limit, rows * limit // 3, known=False)


def longest_batch(lengths: Sequence[RowLength], rows: int) -> Rows | None:
    """The batch of the longest rows, which training meets because it sorts by length."""
    chosen = sorted(lengths, key=lambda row: -row.tokens)[:rows]
    if not chosen:
        return None
    return Rows(len(chosen), chosen[0].tokens, sum(row.scored for row in chosen))


def conversation_lengths(
    folder: Path, conversations: Sequence[Messages], limit: int, dropped: bool
) -> list[RowLength]:
    """The longest conversations in tokens; ``dropped`` leaves out those beyond ``limit``."""
    longest = sorted(conversations, key=_characters, reverse=True)
    found: list[RowLength] = []
    for messages in longest:
        row = _length(folder, messages)
        if row.tokens > limit and dropped:
            continue
        found.append(RowLength(min(row.tokens, limit), min(row.scored, limit)))
        if len(found) == COUNTED:
            break
    return found


def _characters(messages: Messages) -> int:
    return sum(len(message["content"]) for message in messages)


def _length(folder: Path, messages: Messages) -> RowLength:
    tokens = [_tokens(folder, message["content"]) + OF_A_MESSAGE for message in messages]
    own = [n for n, one in zip(tokens, messages, strict=True) if one["role"] == "assistant"]
    return RowLength(sum(tokens), sum(own))


@lru_cache(maxsize=20_000)
def _tokens(folder: Path, text: str) -> int:
    tokenizer = _tokenizer(folder)
    if tokenizer is None:
        return len(text) // 3
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


@lru_cache(maxsize=4)
def _tokenizer(folder: Path) -> Any:
    """The folder's tokenizer; None where its file is missing or is none."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(file)) if file.is_file() else None
    except Exception:  # noqa: BLE001  (the library raises nothing narrower)
        return None


def conversations_in(entries: Mapping[str, Entry]) -> Sequence[Messages] | None:
    """The conversations that are learnt from, by kind of artifact; None: too large to look at."""
    from tratree_cli.formats.paths import read_paths
    from tratree_cli.stages.examples import demonstrations_of

    if any(entry.size > READ for entry in entries.values()):
        return None
    if "paths" in entries:
        return [path.messages for path in read_paths(entries["paths"].path).paths]
    if "demos" in entries:
        return demonstrations_of([entries["demos"]]).messages
    return None


def pair_sides(entry: Entry) -> list[tuple[Messages, Messages]] | None:
    """Both sides of every pair as whole conversations; None: too large to look at."""
    from tratree_cli.formats.pairs import read_pairs

    if entry.size > READ:
        return None
    pairs = [record.messages() for record in read_pairs(entry.path).pairs]
    return [([*p.prompt, *p.chosen], [*p.prompt, *p.rejected]) for p in pairs]
