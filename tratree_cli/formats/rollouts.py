"""Trajectories in memory and on disk (kinds ``rollouts`` and ``demos``).

A trajectory refers to its texts by number: a thousand episodes see the same search page, so each
distinct text is stored once. On disk there are two zstd-compressed JSON-lines files that
``zstdcat | jq`` reads (``texts.jsonl.zst``: line i is text i; ``trajectories.jsonl.zst``) and
``meta.json``. The trade-off: a single trajectory needs the text table, in exchange for files that
are an order of magnitude smaller and trees that compare texts by integer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import zstandard

from tratree_cli.errors import InputError
from tratree_cli.formats.compressed import numbered_lines

DONE = "done"
STEP_LIMIT = "step-limit"
CONTEXT_OVERFLOW = "context-overflow"
UNPARSABLE = "unparsable"
ENVIRONMENT_ERROR = "environment-error"
POLICY_ERROR = "policy-error"
ENDINGS = (DONE, STEP_LIMIT, CONTEXT_OVERFLOW, UNPARSABLE, ENVIRONMENT_ERROR, POLICY_ERROR)
UNSCORED = (ENVIRONMENT_ERROR, POLICY_ERROR)
"""Endings that the agent did not cause: no score, and no place in tree statistics."""
TEXTS = "texts.jsonl.zst"
TRAJECTORIES = "trajectories.jsonl.zst"
META = "meta.json"


@dataclass(frozen=True)
class Trajectory:
    """One episode, texts by number (see ``TextTable``); n is the number of the agent's turns.

    ``observations`` has n or n + 1 entries (the last observation is missing when the episode broke
    off in the environment); ``outputs``, ``thoughts``, ``actions``, ``scores`` have n.
    ``outputs`` are the agent's texts exactly as sampled; ``thoughts`` is -1 where there was none,
    ``actions`` is -1 for an unparsable output. ``scores[i]`` is the environment's score after step
    i. ``score`` is G in [0, 1], or None when an environment or policy error ended the episode.
    ``sampled_tokens`` is the number of tokens that the outputs were sampled as (0 for scripted and
    served policies). ``detail`` gives in a few words the reason why an episode broke off (what a
    server refused, how the environment crashed).
    """

    task: str
    sample: int
    setting: int
    source: int
    seed: int
    instruction: int
    observations: tuple[int, ...]
    outputs: tuple[int, ...]
    thoughts: tuple[int, ...]
    actions: tuple[int, ...]
    scores: tuple[float, ...]
    valid: tuple[bool, ...]
    score: float | None
    success: bool
    end: str
    sampled_tokens: int = 0
    detail: str = ""

    @property
    def steps(self) -> int:
        return len(self.outputs)

    @property
    def counted(self) -> bool:
        """Whether the trajectory has a place in statistics (DESIGN: a crash is not a zero)."""
        return self.end not in UNSCORED and self.score is not None


class TextTable:
    """Distinct texts by number, in order of first appearance."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts: list[str] = []
        self._number: dict[str, int] = {}
        for text in texts:
            self.intern(text)

    def intern(self, text: str) -> int:
        number = self._number.get(text)
        if number is None:
            number = self._number[text] = len(self.texts)
            self.texts.append(text)
        return number

    def copy(self) -> TextTable:
        """A table of its own with the same numbers."""
        table = TextTable()
        table.texts, table._number = self.texts.copy(), self._number.copy()
        return table

    def __getitem__(self, number: int) -> str:
        return self.texts[number]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Rollouts:
    """Trajectories with their texts, the sampling settings and the policies that made them.

    ``settings[i]`` is a mapping like ``{"temperature": 1.0, "top_p": 1.0}``, ``sources[i]`` the
    reference of a policy; trajectories refer to both by number. ``environment`` is the
    ``EnvironmentSpec`` as a mapping, ``prompt`` the conversation's prefix messages.
    """

    texts: TextTable
    trajectories: Sequence[Trajectory]
    settings: Sequence[Mapping[str, Any]] = ()
    sources: Sequence[str] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    split: str = ""
    prompt: Mapping[str, Any] = field(default_factory=dict)


def conversation(
    rollouts: Rollouts, trajectory: Trajectory, prefix: Sequence[Mapping[str, str]] = ()
) -> list[dict[str, str]]:
    """The chat messages of a trajectory: ``prefix``, then observation and output in turns."""
    messages = [dict(message) for message in prefix]
    for observation, output in zip(trajectory.observations, trajectory.outputs, strict=False):
        messages.append({"role": "user", "content": rollouts.texts[observation]})
        messages.append({"role": "assistant", "content": rollouts.texts[output]})
    return messages


def write_rollouts(rollouts: Rollouts, folder: Path) -> None:
    """Write the three files of a ``rollouts`` or ``demos`` artifact; equal input, equal bytes."""
    count = write_jsonl(folder / TRAJECTORIES, map(trajectory_record, rollouts.trajectories))
    write_head(rollouts, count, folder)


def write_head(rollouts: Rollouts, trajectories: int, folder: Path) -> None:
    """The texts and ``meta.json``: all but the trajectories, of which the number is noted."""
    write_jsonl(folder / TEXTS, rollouts.texts.texts)
    meta = {
        "settings": [dict(setting) for setting in rollouts.settings],
        "sources": list(rollouts.sources),
        "environment": dict(rollouts.environment),
        "split": rollouts.split,
        "prompt": dict(rollouts.prompt),
        "trajectories": trajectories,
    }
    (folder / META).write_bytes(
        orjson.dumps(meta, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    )


def read_rollouts(folder: Path) -> Rollouts:
    """Read what ``write_rollouts`` wrote."""
    head, _ = read_head(folder)
    records = read_jsonl(folder / TRAJECTORIES)
    return replace(head, trajectories=[trajectory_from(record) for record in records])


def read_head(folder: Path) -> tuple[Rollouts, int]:
    """Everything but the trajectories, which may be many, and how many there are."""
    meta = orjson.loads((folder / META).read_bytes())
    head = Rollouts(
        texts=TextTable(read_jsonl(folder / TEXTS)),
        trajectories=(),
        settings=meta["settings"],
        sources=meta["sources"],
        environment=meta["environment"],
        split=meta["split"],
        prompt=meta["prompt"],
    )
    return head, meta["trajectories"]


def trajectory_record(trajectory: Trajectory) -> dict[str, Any]:
    """A trajectory as a JSON record, without a detail or number of tokens where it has none."""
    record = dict(vars(trajectory))
    for name in ("sampled_tokens", "detail"):
        if not record[name]:
            del record[name]
    return record


def current_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a trajectory's JSON record; earlier versions stored every sampled token."""
    fields = dict(record)
    if "tokens" in fields:
        fields["sampled_tokens"] = sum(map(len, fields.pop("tokens")))
    return fields


def trajectory_from(record: Mapping[str, Any]) -> Trajectory:
    """A trajectory from its JSON record."""
    fields = current_fields(record)
    for name in ("observations", "outputs", "thoughts", "actions", "scores", "valid"):
        fields[name] = tuple(fields[name])
    return Trajectory(**fields)


def write_jsonl(path: Path, records: Iterable[Any]) -> int:
    """Write records as zstd-compressed JSON lines; return their number."""
    count = 0

    def lines() -> Iterator[bytes]:
        nonlocal count
        for record in records:
            count += 1
            yield orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)

    write_lines(path, lines())
    return count


def json_lines(records: Iterable[Any]) -> bytes:
    """Records as JSON lines in memory."""
    # One growing buffer: kept apart until they are joined, lines cost ten times the time.
    lines = bytearray()
    for record in records:
        lines += orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    return bytes(lines)


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write lines, handed over in pieces of any size, as one zstd-compressed file.

    One frame, level 3, no timestamp: equal lines give equal bytes, however they were cut.
    """
    with path.open("wb") as file, zstandard.ZstdCompressor(level=3).stream_writer(file) as stream:
        for piece in lines:
            stream.write(piece)


def read_jsonl(path: Path) -> Iterator[Any]:
    """Read zstd-compressed JSON lines, streaming; errors name file and line."""
    for number, line in read_lines(path):
        yield parsed(path, number, line)


def parsed(path: Path, number: int, line: bytes) -> Any:
    """The value in a line; errors name file and line."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path} line {number} is not JSON: {error}") from error


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a zstd-compressed file with their numbers from 1, not parsed."""
    return numbered_lines(path, compressed=True)
