"""Preference pairs of other programs, as a ``pairs`` artifact.

One JSON object a line (or a JSON list of them) with ``chosen`` and ``rejected``, and ``prompt``
unless both are whole conversations that begin alike. Each is a list of turns, ``role`` and
``content`` or ``from`` and ``value``, or a text: TRL's and ETO's layouts. Fields of a pair
mined by tratree that a file lacks (scores, visits, the node of a tree) get default values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tratree_cli.errors import InputError
from tratree_cli.formats.importing import message, split_prompt
from tratree_cli.formats.pairs import Message, PairRecord
from tratree_cli.formats.record_files import RecordError, records

RULE = "imported"
_SPEAKER = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}


@dataclass(frozen=True)
class ImportedPairs:
    """The pairs of a file, and how many records were skipped, by reason."""

    pairs: list[PairRecord]
    skipped: Mapping[str, int] = field(default_factory=dict)


def import_pairs(path: Path, *, on_error: Literal["stop", "skip"] = "stop") -> ImportedPairs:
    """Read ``path``.

    Raises InputError at the first bad record (file, line, field), or with ``on_error="skip"`` only
    when none is good; a file without any pair is an error either way.
    """
    pairs: list[PairRecord] = []
    skipped: Counter[str] = Counter()
    for place, record in records(path):
        try:
            if isinstance(record, RecordError):
                raise record
            if not isinstance(record, dict):
                raise RecordError("the record is no JSON object")
            pairs.append(_pair(record, path.name, len(pairs)))
        except RecordError as error:
            if on_error == "stop":
                raise InputError(
                    f"{path} {place}: {error}; mend it, or skip bad records (tratree import "
                    "--as pairs --on-error skip)"
                ) from None
            skipped[str(error)] += 1
    if not pairs:
        skips = f" ({sum(skipped.values())} skipped)" if skipped else ""
        raise InputError(f"{path} holds no preference pair{skips}; there is nothing to train on")
    return ImportedPairs(pairs, dict(skipped))


def _pair(record: Mapping[str, Any], source: str, number: int) -> PairRecord:
    sides = {side: _turns(record, side) for side in ("chosen", "rejected")}
    prompt = _turns(record, "prompt") if record.get("prompt") else []
    if not prompt:
        shared = _shared(sides["chosen"], sides["rejected"])
        prompt = sides["chosen"][:shared]
        sides = {side: turns[shared:] for side, turns in sides.items()}
    if not prompt:
        raise RecordError("field 'prompt' is missing and the two sides do not begin alike")
    if sides["chosen"] == sides["rejected"]:
        raise RecordError("fields 'chosen' and 'rejected' say the same")
    for side, turns in sides.items():
        if not turns or turns[0]["role"] != "assistant":
            raise RecordError(f"field '{side}' does not begin with the agent's turn")
    # A prompt in front (an instruction answered by "OK") is no part of the episode.
    _, episode = split_prompt(prompt)
    scores = [_score(record, "chosen_score", 1.0), _score(record, "rejected_score", 0.0)]
    return PairRecord(
        task=str(record.get("task", record.get("id", number))),
        rule=RULE,
        prompt=prompt,
        chosen=sides["chosen"],
        rejected=sides["rejected"],
        chosen_score=scores[0],
        rejected_score=scores[1],
        chosen_value=scores[0],
        rejected_value=scores[1],
        chosen_visits=1,
        rejected_visits=1,
        chosen_trajectory=number,
        rejected_trajectory=number,
        chosen_source=f"import:{source}",
        rejected_source=f"import:{source}",
        step=sum(turn["role"] == "assistant" for turn in episode),
        node=-1,
        horizon=0,
    )


def _turns(record: Mapping[str, Any], name: str) -> list[Message]:
    """The turns of a field: a list of them in either layout, or a text."""
    turns = record.get(name)
    if isinstance(turns, str) and turns:
        return [{"role": _SPEAKER[name], "content": turns}]
    if isinstance(turns, dict):
        turns = [turns]
    if not isinstance(turns, list) or not turns:
        raise RecordError(f"field '{name}' is missing, or neither a text nor a list of turns")
    return [message(turn, number, name, *_layout(turn)) for number, turn in enumerate(turns)]


def _layout(turn: Any) -> tuple[str, str]:
    return ("from", "value") if isinstance(turn, dict) and "from" in turn else ("role", "content")


def _shared(first: list[Message], second: list[Message]) -> int:
    """Turns that both conversations begin with, up to the turn that the agent answers."""
    same = 0
    while same < min(len(first), len(second)) and first[same] == second[same]:
        same += 1
    while same and first[same - 1]["role"] == "assistant":
        same -= 1
    return same


def _score(record: Mapping[str, Any], name: str, otherwise: float) -> float:
    value = record.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"field '{name}' is {value!r}, not a number")
    return float(value)
