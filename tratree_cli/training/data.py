"""From conversations and preference pairs to token rows, with nothing cut behind anybody's back.

Rows are tokenised once, here, and the trainers are handed tokens: what the collator sees is exactly
what ``tratree show`` can print. A row that does not fit the context is an error, or is dropped or
shortened by whole turns and counted; a sequence is never cut in the middle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Generic, TypeVar

from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.models.masks import Encoded, Messages, encode_conversation
from tratree_cli.training.params import LENGTH_POLICIES


@dataclass(frozen=True)
class LengthPolicy:
    """What happens to a row of more than ``max_length`` tokens (None: any length fits).

    ``keep-last-turns`` keeps the opening exchange, which holds the instruction, and removes whole
    turns (answer and observation) after it, oldest first; what still does not fit is dropped.
    """

    max_length: int | None = None
    policy: str = "error"

    def __post_init__(self) -> None:
        if self.policy not in LENGTH_POLICIES:
            raise InputError(
                f"unknown length policy '{self.policy}'"
                f"{did_you_mean(self.policy, LENGTH_POLICIES)}; known: {', '.join(LENGTH_POLICIES)}"
            )

    def fits(self, length: int) -> bool:
        return self.max_length is None or length <= self.max_length


@dataclass(frozen=True)
class SFTRow:
    """One conversation: token ids and the 0/1 mask of the agent's tokens, of equal length."""

    input_ids: list[int]
    agent_mask: list[int]

    @property
    def length(self) -> int:
        return len(self.input_ids)

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

    ``number`` is the pair's place in what was handed in: a reference with another tokenizer makes
    rows of its own, and the two meet by it. ``ref_*_logps`` are the reference's summed
    log-probabilities (nats) of the agent's tokens in each continuation, or None before
    ``reference.with_reference``.
    """

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    chosen_mask: list[int]
    rejected_mask: list[int]
    number: int = 0
    ref_chosen_logps: float | None = None
    ref_rejected_logps: float | None = None

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


@dataclass(frozen=True)
class LengthReport:
    """What became of the rows: how many are left, were dropped or shortened, and their tokens.

    ``silent`` counts rows dropped because no token of the agent is in them. ``tokens`` counts every
    token that is read, ``scored`` those that enter a loss; ``longest`` is the longest row left.
    """

    rows: int = 0
    dropped: int = 0
    shortened: int = 0
    silent: int = 0
    longest: int = 0
    tokens: int = 0
    scored: int = 0

    @property
    def scored_share(self) -> float:
        return self.scored / self.tokens if self.tokens else 0.0


Row = TypeVar("Row", SFTRow, PairRow)


@dataclass(frozen=True)
class _Fitted(Generic[Row]):
    row: Row | None
    shortened: bool


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

    def encode(messages: Messages) -> SFTRow:
        encoded = encode_conversation(tokenizer, messages, context=prefix)
        return SFTRow(encoded.input_ids, encoded.agent_mask)

    fitted = [
        _fit(
            encode,
            _checked(messages, f"conversation {number}"),
            prefix,
            policy,
            f"conversation {number}",
        )
        for number, messages in enumerate(conversations, start=1)
    ]
    return _some(*_report(fitted), "conversations")


def pair_rows(
    tokenizer: Any,
    pairs: Sequence[Mapping[str, Messages]],
    length: LengthPolicy | None = None,
) -> tuple[list[PairRow], LengthReport]:
    """Rows for Eq. 6 from ``prompt`` / ``chosen`` / ``rejected`` message lists.

    The prompt is read and never scored; in the continuations only the agent's turns are. Raises
    ``InputError`` like ``sft_rows``.
    """
    return _some(*fitting_pairs(tokenizer, pairs, length), "pairs")


def fitting_pairs(
    tokenizer: Any,
    pairs: Sequence[Mapping[str, Messages]],
    length: LengthPolicy | None = None,
) -> tuple[list[PairRow], LengthReport]:
    """``pair_rows``, where it may be that no pair is left."""
    policy = length or LengthPolicy()

    def fit(number: int, pair: Mapping[str, Messages]) -> _Fitted[PairRow]:
        name = f"pair {number}"
        for role in ("prompt", "chosen", "rejected"):
            if not pair.get(role):
                raise InputError(f"{name} has no '{role}' messages; a pair needs all three")
            _checked(pair[role], f"the {role} of {name}")
        return _fit(
            lambda prompt: replace(
                _pair_row(tokenizer, prompt, pair["chosen"], pair["rejected"], name),
                number=number - 1,
            ),
            pair["prompt"],
            0,
            policy,
            name,
        )

    return _report([fit(number, pair) for number, pair in enumerate(pairs, start=1)])


def dataset_fingerprint(rows: Sequence[SFTRow] | Sequence[PairRow]) -> str:
    """sha256 of the rows: a checkpoint of other rows must not be resumed."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(asdict(row), sort_keys=True).encode())
    return digest.hexdigest()


def _pair_row(
    tokenizer: Any, prompt: Messages, chosen: Messages, rejected: Messages, name: str
) -> PairRow:
    better, worse = (
        encode_conversation(tokenizer, [*prompt, *continuation], context=len(prompt))
        for continuation in (chosen, rejected)
    )
    # The continuation begins with the first token that either sequence scores; before it both
    # must be the same tokens, or the two would be judged after different histories.
    shared = min(_first_scored(better), _first_scored(worse))
    if better.input_ids[:shared] != worse.input_ids[:shared]:
        raise InputError(
            f"{name} has continuations that do not start with the agent's turn; chosen and "
            "rejected must both follow the same prompt directly"
        )
    return PairRow(
        prompt_ids=better.input_ids[:shared],
        chosen_ids=better.input_ids[shared:],
        rejected_ids=worse.input_ids[shared:],
        chosen_mask=better.agent_mask[shared:],
        rejected_mask=worse.agent_mask[shared:],
    )


def _first_scored(encoded: Encoded) -> int:
    return encoded.agent_mask.index(1) if encoded.scored else len(encoded.input_ids)


def _fit(
    encode: Callable[[Messages], Row],
    messages: Messages,
    prefix: int,
    length: LengthPolicy,
    name: str,
) -> _Fitted[Row]:
    """The row under the length policy."""
    row = encode(messages)
    if length.fits(row.length):
        return _Fitted(row, False)
    if length.policy == "error":
        raise InputError(
            f"{name} has {row.length} tokens, more than {length.max_length}; raise max_length, or "
            "choose the length policy 'drop' or 'keep-last-turns'"
        )
    if length.policy == "keep-last-turns":
        kept = list(messages)
        opening = _opening(messages, prefix)
        # Removing an answer and the observation that follows keeps the roles in turns.
        while len(kept) - opening > 2:
            del kept[opening : opening + 2]
            row = encode(kept)
            if length.fits(row.length):
                return _Fitted(row, True)
    return _Fitted(None, False)


def _opening(messages: Messages, prefix: int) -> int:
    """Messages that are never removed: the prefix, and the first exchange after it."""
    system = 1 if messages[0]["role"] == "system" else 0
    return max(prefix, system) + 2 - (max(prefix, system) - system) % 2


def _report(fitted: Sequence[_Fitted[Row]]) -> tuple[list[Row], LengthReport]:
    report = LengthReport()
    rows: list[Row] = []
    for item in fitted:
        if item.row is None:
            report = replace(report, dropped=report.dropped + 1)
        elif not item.row.scored:
            report = replace(report, silent=report.silent + 1)
        else:
            rows.append(item.row)
            report = replace(
                report,
                rows=len(rows),
                shortened=report.shortened + item.shortened,
                longest=max(report.longest, item.row.length),
                tokens=report.tokens + item.row.tokens,
                scored=report.scored + item.row.scored,
            )
    return rows, report


def _some(rows: list[Row], report: LengthReport, what: str) -> tuple[list[Row], LengthReport]:
    """What was read, unless all of it was left out."""
    left_out = report.dropped + report.silent
    if left_out and not rows:
        raise InputError(
            f"none of {left_out} {what} is left: {report.dropped} are longer than the context "
            f"and {report.silent} have no words of the agent; raise max_length or use shorter ones"
        )
    return rows, report


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
