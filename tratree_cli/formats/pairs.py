"""Preference pairs on disk (kind ``pairs``): one JSON line a pair, with every text that training
needs.

``prompt`` is the history both sides share and ends with the observation at which they part;
``chosen`` and ``rejected`` begin with the agent's turn. Only turns of the role ``assistant`` in the
continuations enter the loss; the environment's turns never do. Repeating the
prompts costs little after compression and makes a pair readable by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import Rollouts, Trajectory, read_jsonl, write_jsonl
from tratree_cli.trees.pairs import Pair, PairSet

Message = dict[str, str]

PAIRS = "pairs.jsonl.zst"
META = "pairs.json"


@dataclass(frozen=True)
class PairMessages:
    """The messages of a pair; the first ``prefix`` ones of ``prompt`` precede the episode.

    ``rest`` is how the chosen trajectory goes on after ``chosen``, where that was cut. ``gap`` is
    by how much the chosen side was found better.
    """

    prompt: Sequence[Mapping[str, str]]
    chosen: Sequence[Mapping[str, str]]
    rejected: Sequence[Mapping[str, str]]
    prefix: int = 0
    rest: Sequence[Mapping[str, str]] = ()
    gap: float = 0.0

    def sides(self) -> dict[str, Sequence[Mapping[str, str]]]:
        """``prompt``, ``chosen`` and ``rejected`` by their names."""
        return {"prompt": self.prompt, "chosen": self.chosen, "rejected": self.rejected}

    @property
    def identity(self) -> str:
        """32 hexadecimal digits that are the same for equal messages only."""
        sides = [self.prompt, self.chosen, self.rejected]
        document = orjson.dumps(sides, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(document).hexdigest()[:32]


@dataclass(frozen=True)
class PairRecord:
    """A pair with its messages.

    ``chosen_score`` and ``rejected_score`` are G of the two trajectories, ``chosen_value`` and
    ``rejected_value`` what the rule compared (the branches' means under the rule ``tree``, over
    ``chosen_visits`` and ``rejected_visits`` trajectories). ``chosen_trajectory`` and
    ``rejected_trajectory`` are positions in the input artifacts, ``step`` the turn at which the
    two part and ``node`` the divergence point (-1: whole trajectories). ``horizon`` is the number
    of turns of each continuation, 0 to the end. ``rest`` is what follows ``chosen`` in its
    trajectory, beginning with the environment's turn. ``kind`` names what differs between the two
    first actions (``envs.action_kinds``).

    ``basis`` says why the chosen side is preferred: ``score``, at equal scores ``length``, or
    ``mirror``: then both sides are turns of one trajectory, and no recorded trajectory goes on from
    ``prompt`` with the rejected one: the rejected value is the chosen one's, over 0 visits.
    ``rejected_step`` is the turn of its trajectory with which the rejected side begins, where that
    is another one than ``step`` (else -1).
    """

    task: str
    rule: str
    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    chosen_score: float
    rejected_score: float
    chosen_value: float
    rejected_value: float
    chosen_visits: int
    rejected_visits: int
    chosen_trajectory: int
    rejected_trajectory: int
    chosen_source: str
    rejected_source: str
    step: int
    node: int
    horizon: int
    rest: list[Message] = field(default_factory=list)
    kind: str = ""
    basis: str = "score"
    rejected_step: int = -1

    @property
    def gap(self) -> float:
        return self.chosen_value - self.rejected_value

    @property
    def prefix(self) -> int:
        """How many messages of ``prompt`` stand before the episode's first observation.

        Not stored: the episode's part of the prompt is ``step`` exchanges and one observation.
        """
        return max(0, len(self.prompt) - 2 * self.step - 1)

    def messages(self) -> PairMessages:
        """What training reads of the pair."""
        sides = (self.prompt, self.chosen, self.rejected)
        return PairMessages(*sides, prefix=self.prefix, rest=self.rest, gap=self.gap)


@dataclass(frozen=True)
class PairFile:
    """A ``pairs`` artifact in memory; ``meta`` has the rule, counts and what was dropped."""

    pairs: Sequence[PairRecord]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pairs)


def render_pairs(
    pairs: PairSet, rollouts: Rollouts, demos: Rollouts | None = None, *, rule: str = "tree"
) -> Iterator[PairRecord]:
    """Add the texts: the agent's outputs exactly as they were sampled.

    ``rollouts`` are those the pair rule saw (a tree's own, for rules on trees); ``demos`` hold the
    preferred side of pairs that are demonstrated. ``rule`` is the rule's name.
    """
    chosen_from = demos if pairs.demonstrated and demos is not None else rollouts
    for pair in pairs.pairs:
        yield _record(pair, rule, chosen_from, rollouts)


def write_pairs(
    records: Iterable[PairRecord], folder: Path, meta: Mapping[str, Any] | None = None
) -> int:
    """Write a ``pairs`` artifact (an empty one too); return the number of pairs."""
    count = write_jsonl(folder / PAIRS, (asdict(record) for record in records))
    document = {**(meta or {}), "pairs": count}
    (folder / META).write_bytes(
        orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    )
    return count


def read_pairs(folder: Path) -> PairFile:
    """Read what ``write_pairs`` wrote."""
    meta = orjson.loads((folder / META).read_bytes())
    records = []
    for line, record in enumerate(read_jsonl(folder / PAIRS), start=1):
        try:
            records.append(PairRecord(**record))
        except TypeError as error:
            raise InputError(f"{folder / PAIRS} line {line} is not a pair: {error}") from error
    return PairFile(records, meta)


def prefix_messages(rollouts: Rollouts) -> list[Message]:
    """The prompt's messages before the first observation (empty for the embedded prompt)."""
    return [dict(message) for message in rollouts.prompt.get("messages", ())]


def turns(rollouts: Rollouts, trajectory: Trajectory, start: int, stop: int) -> list[Message]:
    """Turns ``start`` to ``stop`` (exclusive), beginning with the agent's output of turn ``start``.

    The last message is the agent's: what the environment answered to it is left out.
    """
    messages: list[Message] = []
    for step in range(start, min(stop, trajectory.steps)):
        if step > start:
            messages.append(_user(rollouts, trajectory, step))
        messages.append({"role": "assistant", "content": rollouts.texts[trajectory.outputs[step]]})
    return messages


def _user(rollouts: Rollouts, trajectory: Trajectory, step: int) -> Message:
    return {"role": "user", "content": rollouts.texts[trajectory.observations[step]]}


def _record(pair: Pair, rule: str, chosen_from: Rollouts, rejected_from: Rollouts) -> PairRecord:
    chosen = chosen_from.trajectories[pair.chosen]
    rejected = rejected_from.trajectories[pair.rejected]
    history = turns(chosen_from, chosen, 0, pair.step)
    opening = [_user(chosen_from, chosen, 0)] if pair.step else []
    prompt = [
        *prefix_messages(chosen_from),
        *opening,
        *history,
        _user(chosen_from, chosen, pair.step),
    ]
    turned_down, rejected_step = rejected_from, pair.step
    if pair.rejected_step >= 0:
        turned_down, rejected_step = chosen_from, pair.rejected_step
        rejected = turned_down.trajectories[pair.rejected]
    length = pair.horizon or max(chosen.steps, rejected.steps)
    rest = turns(chosen_from, chosen, pair.step + length, chosen.steps)
    return PairRecord(
        task=chosen.task,
        rule=rule,
        prompt=prompt,
        chosen=turns(chosen_from, chosen, pair.step, pair.step + length),
        rejected=turns(turned_down, rejected, rejected_step, rejected_step + length),
        chosen_score=float(chosen.score or 0.0),
        rejected_score=float(rejected.score or 0.0),
        chosen_value=pair.chosen_value,
        rejected_value=pair.rejected_value,
        chosen_visits=pair.chosen_visits,
        rejected_visits=pair.rejected_visits,
        chosen_trajectory=pair.chosen,
        rejected_trajectory=pair.rejected,
        chosen_source=_source(chosen_from, chosen),
        rejected_source=_source(turned_down, rejected),
        step=pair.step,
        node=pair.node,
        horizon=pair.horizon,
        rest=[_user(chosen_from, chosen, pair.step + length), *rest] if rest else [],
        kind=pair.kind,
        basis=pair.basis,
        rejected_step=pair.rejected_step,
    )


def _source(rollouts: Rollouts, trajectory: Trajectory) -> str:
    known = 0 <= trajectory.source < len(rollouts.sources)
    return rollouts.sources[trajectory.source] if known else ""
