"""From conversations and preference pairs to token rows, with nothing cut behind anybody's back.

Rows are tokenised once, here, and the trainers are handed tokens: what the collator sees is exactly
what ``tratree show`` can print. A row that does not fit the context is an error, or is dropped or
shortened by whole turns and counted; a sequence is never cut in the middle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from tratree_cli.errors import InputError
from tratree_cli.formats.pairs import PairMessages
from tratree_cli.models.masks import Encoded, Messages, encode_conversation
from tratree_cli.training.lengths import (
    LengthPolicy,
    LengthReport,
    Measured,
    all_fit,
    removable_exchanges,
    without_exchanges,
)


@dataclass(frozen=True)
class SFTRow:
    """One conversation: token ids and the 0/1 mask of the agent's tokens, of equal length.

    ``tree`` is equal for conversations of one task (``tree_of``).
    """

    input_ids: list[int]
    agent_mask: list[int]
    tree: str = ""

    @property
    def length(self) -> int:
        return len(self.input_ids)

    @property
    def sequences(self) -> tuple[list[int], ...]:
        """The token sequences that are read."""
        return (self.input_ids,)

    @property
    def tokens(self) -> int:
        """Tokens that are read in training."""
        return len(self.input_ids)

    @property
    def scored(self) -> int:
        return sum(self.agent_mask)


@dataclass(frozen=True)
class PairRow:
    """One preference: a shared prompt and two continuations with their agent masks.

    ``identity`` is the pair's (``PairMessages.identity``): a reference with another tokenizer makes
    rows of its own, and the two meet by it. ``tree`` is equal for pairs of one task (``tree_of``).
    ``removed`` exchanges were taken from the prompt so
    that it fits. ``nll_mask`` marks what the NLL term is taken over, within the prompt and the
    chosen continuation together; empty: the agent's tokens of the continuation. ``swapped``
    sides were exchanged after the pair was made, ``gap`` is the pair's (``PairMessages.gap``).
    ``ref_*_logps`` are the reference's summed
    log-probabilities (nats) of the agent's tokens in each continuation, and ``ref_*_turn_logps``
    those of its first turn alone, or None before ``reference.with_reference``.
    """

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    chosen_mask: list[int]
    rejected_mask: list[int]
    identity: str = ""
    tree: str = ""
    removed: int = 0
    ref_chosen_logps: float | None = None
    ref_rejected_logps: float | None = None
    ref_chosen_turn_logps: float | None = None
    ref_rejected_turn_logps: float | None = None
    nll_mask: list[int] = field(default_factory=list)
    swapped: bool = False
    gap: float = 0.0

    @property
    def length(self) -> int:
        """Tokens of the longer of the two sequences."""
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))

    @property
    def tokens(self) -> int:
        """Tokens that are read in training: the prompt twice, once before each continuation."""
        return 2 * len(self.prompt_ids) + len(self.chosen_ids) + len(self.rejected_ids)

    @property
    def scored(self) -> int:
        return sum(self.chosen_mask) + sum(self.rejected_mask)

    @property
    def sequences(self) -> tuple[list[int], ...]:
        """The token sequences that are read: the chosen, then the rejected."""
        return (self.prompt_ids + self.chosen_ids, self.prompt_ids + self.rejected_ids)


Row = TypeVar("Row", bound=Measured)


@dataclass(frozen=True)
class Reader:
    """A model as far as rows are concerned: its tokenizer, and what is too long for it."""

    tokenizer: Any
    length: LengthPolicy


def sft_rows(
    tokenizer: Any,
    conversations: Sequence[Messages],
    length: LengthPolicy | None = None,
    prefix: int = 0,
) -> tuple[list[SFTRow], LengthReport]:
    """Rows for Eq. 4 and Eq. 8: every agent's turn after the first ``prefix`` messages is learnt.

    Raises ``InputError`` for a row that is too long under the policy ``error``, and when no row is
    left.
    """
    policy = length or LengthPolicy()
    report = LengthReport()
    rows: list[SFTRow] = []

    def encode(messages: Messages) -> tuple[SFTRow]:
        encoded = encode_conversation(tokenizer, messages, context=prefix)
        return (SFTRow(encoded.input_ids, encoded.agent_mask, tree_of(messages, prefix)),)

    for number, conversation in enumerate(conversations, start=1):
        name = f"conversation {number}"
        messages = _checked(conversation, name)
        fitted, removed = _fit(encode, messages, prefix, (policy,), name)
        report = _counted(report, fitted, removed)
        rows += fitted if fitted and fitted[0].scored else ()
    report.require_rows("conversations")
    return rows, report


def pair_rows(
    tokenizer: Any, pairs: Sequence[PairMessages], length: LengthPolicy | None = None
) -> tuple[list[PairRow], LengthReport]:
    """Rows for Eq. 6.

    The prompt is read and never scored; in the continuations only the agent's turns are. Raises
    ``InputError`` like ``sft_rows``.
    """
    rows, report = shared_pair_rows((Reader(tokenizer, length or LengthPolicy()),), pairs)
    report.require_rows("pairs")
    return [row for (row,) in rows], report


def shared_pair_rows(
    readers: Sequence[Reader], pairs: Sequence[PairMessages]
) -> tuple[list[tuple[PairRow, ...]], LengthReport]:
    """Rows of the same words for several models; ``rows[i][k]`` is pair i's for reader k.

    A pair is shortened until it fits all readers, and dropped where one cannot read it. The tokens
    in the report are the first reader's. It may be that no row is left.
    """
    policies = [reader.length for reader in readers]
    report = LengthReport()
    rows: list[tuple[PairRow, ...]] = []
    for number, pair in enumerate(pairs, start=1):
        fitted, removed = _fit(
            lambda prompt, pair=pair, number=number: tuple(  # type: ignore[misc]
                encode_pair(reader.tokenizer, replace(pair, prompt=prompt), f"pair {number}")
                for reader in readers
            ),
            pair.prompt,
            pair.prefix,
            policies,
            f"pair {number}",
        )
        report = _counted(report, fitted, removed)
        if fitted and all(row.scored for row in fitted):
            identity = pair.identity
            rows.append(tuple(replace(row, identity=identity, removed=removed) for row in fitted))
    return rows, report


def encode_pair(tokenizer: Any, pair: PairMessages, name: str) -> PairRow:
    """The row of a pair as it is, whatever its length; ``name`` is for errors."""
    for role, messages in pair.sides().items():
        if not messages:
            raise InputError(f"{name} has no '{role}' messages; a pair needs all three")
        _checked(messages, f"the {role} of {name}")
    chosen, rejected = (
        encode_conversation(tokenizer, [*pair.prompt, *continuation], context=len(pair.prompt))
        for continuation in (pair.chosen, pair.rejected)
    )
    # The continuation begins with the first token that either sequence scores; before it both
    # must be the same tokens, or the two would be judged after different histories.
    shared = min(_first_scored(chosen), _first_scored(rejected))
    if chosen.input_ids[:shared] != rejected.input_ids[:shared]:
        raise InputError(
            f"{name} has continuations that do not start with the agent's turn; chosen and "
            "rejected must both follow the same prompt directly"
        )
    return PairRow(
        prompt_ids=chosen.input_ids[:shared],
        chosen_ids=chosen.input_ids[shared:],
        rejected_ids=rejected.input_ids[shared:],
        chosen_mask=chosen.agent_mask[shared:],
        rejected_mask=rejected.agent_mask[shared:],
        tree=tree_of(pair.prompt, pair.prefix),
        gap=pair.gap,
    )


def tree_of(messages: Messages, prefix: int) -> str:
    """What conversations of one task begin with, after ``prefix`` messages, as a digest.

    That is everything before the agent's first turn: the instruction and the first observation.
    """
    digest = hashlib.sha256()
    for message in messages[prefix:]:
        if message["role"] == "assistant":
            break
        digest.update(message["content"].encode())
    return digest.hexdigest()


def dataset_fingerprint(rows: Sequence[SFTRow | PairRow]) -> str:
    """sha256 of the rows: a checkpoint of other rows must not be resumed."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(asdict(row), sort_keys=True).encode())
    return digest.hexdigest()


def _first_scored(encoded: Encoded) -> int:
    return encoded.agent_mask.index(1) if encoded.scored else len(encoded.input_ids)


def _fit(
    encode: Callable[[Messages], tuple[Row, ...]],
    messages: Messages,
    prefix: int,
    policies: Sequence[LengthPolicy],
    name: str,
) -> tuple[tuple[Row, ...], int]:
    """The rows of ``messages``, one for each policy, and how many exchanges were removed.

    No rows where they fit under no allowed shortening.
    """
    shorten = any(policy.policy == "keep-last-turns" for policy in policies)
    most = removable_exchanges(messages, prefix) if messages and shorten else 0
    for removed in range(most + 1):
        rows = encode(without_exchanges(messages, prefix, removed) if removed else messages)
        if all_fit([row.length for row in rows], policies, name):
            return rows, removed
    return (), 0


def _counted(report: LengthReport, rows: tuple[Row, ...], removed: int) -> LengthReport:
    if not rows:
        return replace(report, dropped=report.dropped + 1)
    if not all(row.scored for row in rows):
        return replace(report, silent=report.silent + 1)
    return report.with_row(rows[0], removed > 0)


def _checked(messages: Messages, name: str) -> Messages:
    if not messages:
        raise InputError(f"{name} is empty; it needs messages with 'role' and 'content'")
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "user", "assistant") or not isinstance(content, str):
            raise InputError(
                f"{name} has a message that is not {{role: system|user|assistant, content: text}}: "
                f"{str(message)[:80]}"
            )
    return messages
