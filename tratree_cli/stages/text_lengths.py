"""How many tokens the rows of a training have, for a forecast of its memory.

Only the longest texts are counted, with the model's own tokenizer file and without transformers, so
that a plan stays quick. A chat template's own tokens are an allowance for each message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli.errors import InputError
from tratree_cli.models.memory import Rows

if TYPE_CHECKING:
    from tratree_cli.training.trainer import Messages

OF_A_MESSAGE = 4
"""Tokens of a chat template around a message: ChatML has five, the embedded models two."""
COUNTED = 64
"""So many of the longest texts are counted."""
AT_ONCE = 8192
"""Distinct tokens that tree packing keeps activations of (``tree_packing.depth_first``)."""
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


def message_tokens(folder: Path, messages: Messages) -> int:
    """Tokens of messages that begin a conversation."""
    return _length(folder, messages).tokens


@lru_cache(maxsize=20_000)
def _tokens(folder: Path, text: str) -> int:
    tokenizer = _tokenizer(folder)
    if tokenizer is None:
        return len(text) // 3
    return len(_ids(folder, text))


@lru_cache(maxsize=20_000)
def _ids(folder: Path, text: str) -> tuple[int, ...]:
    return tuple(_tokenizer(folder).encode(text, add_special_tokens=False).ids)


@lru_cache(maxsize=4)
def _tokenizer(folder: Path) -> Any:
    """The folder's tokenizer; None where its file is missing or is none."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(file)) if file.is_file() else None
    except Exception:  # noqa: BLE001  (the library raises nothing narrower)
        return None


@lru_cache(maxsize=32)
def conversations_in(folder: Path, kind: str, size: int) -> Sequence[Messages] | None:
    """The conversations of an artifact of ``size`` bytes; None: too large to look at."""
    from tratree_cli.formats.paths import read_paths
    from tratree_cli.formats.rollouts import conversation, read_rollouts

    if size > READ:
        return None
    try:
        if kind == "paths":
            return [path.messages for path in read_paths(folder).paths]
        rollouts = read_rollouts(folder)
    except InputError:
        return None  # The stage that reads it will say what is wrong.
    prefix = rollouts.prompt.get("messages", [])
    return [conversation(rollouts, one, prefix) for one in rollouts.trajectories]


@lru_cache(maxsize=32)
def pair_sides(folder: Path, size: int) -> list[tuple[Messages, Messages]] | None:
    """Both sides of every pair as whole conversations; None: too large to look at."""
    from tratree_cli.formats.pairs import read_pairs

    if size > READ:
        return None
    try:
        pairs = [record.messages() for record in read_pairs(folder).pairs]
    except InputError:
        return None
    return [([*p.prompt, *p.chosen], [*p.prompt, *p.rejected]) for p in pairs]


def shared_batch(
    folder: Path, sides: Sequence[tuple[Messages, Messages]], micro: int, least: float
) -> Rows | None:
    """The largest batch of ``micro`` pairs as trees: each distinct token once (``tree_packing``).

    Trees are those of the pairs' first messages; only trees of the longest pairs are looked at.
    None where less than ``least`` flat tokens come to a distinct one, or the tokenizer is unknown.
    """
    from tratree_cli.training.tree_packing.trie import build_tries

    if _tokenizer(folder) is None:
        return None
    trees: dict[str, list[tuple[Messages, Messages]]] = {}
    for pair in sides:
        trees.setdefault(_opening(pair[0]), []).append(pair)
    longest = sorted(sides, key=lambda pair: -_characters(pair[0]))[:COUNTED]
    chosen = [
        pair for name in dict.fromkeys(_opening(p[0]) for p in longest) for pair in trees[name]
    ]
    flat = unique = most = longest_row = scored = 0
    for start in range(0, len(chosen), micro):
        batch = [side for pair in chosen[start : start + micro] for side in pair]
        rows = [_sequence(folder, side) for side in batch]
        size = sum(map(len, build_tries(rows)))
        flat += sum(map(len, rows))
        unique += size
        if size > most:
            most, longest_row = size, max(map(len, rows))
            scored = (
                sum(_length(folder, side).scored for side in batch) * size // sum(map(len, rows))
            )
    if not unique or flat < least * unique:
        return None
    # Larger trees are computed depth first, in the memory of a path.
    return Rows(1, min(most, max(AT_ONCE, 2 * longest_row)), scored)


def _opening(messages: Messages) -> str:
    """What the pairs of one tree have in common: all before the agent's first word."""
    first = next((n for n, one in enumerate(messages) if one["role"] == "assistant"), 0)
    return "\n".join(message["content"] for message in messages[: first or 1])


def _sequence(folder: Path, messages: Messages) -> list[int]:
    """Token ids of a conversation, with as many more as a template puts around each message."""
    row: list[int] = []
    for message in messages:
        row += [0] * OF_A_MESSAGE
        row += _ids(folder, message["content"])
    return row
