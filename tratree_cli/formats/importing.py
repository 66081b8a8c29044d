"""Trajectories of other programs, read as rollouts or demonstrations.

Three layouts are understood, each as a JSON list or as JSON lines (plain or zstd): ``jsonl`` (role
and content messages with a score), ``sharegpt`` (from and value turns) and ``eto`` (ShareGPT turns
with a ``meta`` that holds reward and outcome, and a prompt answered by "OK" in front). Every record
is checked; an error names file, record and field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.formats.agent_text import ACTION
from tratree_cli.formats.pairs import Message
from tratree_cli.formats.record_files import RecordError, records
from tratree_cli.formats.rollouts import DONE, ENDINGS, STEP_LIMIT, Rollouts, TextTable, Trajectory

FORMATS = ("eto", "sharegpt", "jsonl")
_ROLES = {
    "human": "user", "user": "user", "observation": "user", "tool": "user",
    "gpt": "assistant", "assistant": "assistant", "system": "system",
}  # fmt: skip


def guess_format(path: Path) -> str:
    """The layout of a file of conversations, recognised by the fields of its first record."""
    for place, record in records(path):
        if isinstance(record, RecordError):
            raise InputError(f"{path} {place}: {record}; one JSON object a line is expected")
        if isinstance(record, dict):
            for name, form in (("messages", "jsonl"), ("conversations", "sharegpt")):
                if name in record:
                    return form
        raise InputError(
            f"{path} {place}: there is neither a field 'messages' (role, content) nor a field "
            "'conversations' (from, value)"
        )
    raise InputError(f"{path} is empty; it needs one conversation a line")


@dataclass(frozen=True)
class _Episode:
    task: str
    messages: list[Message]
    score: float | None
    success: bool
    end: str
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Imported:
    """What was read: the rollouts, and how many records were skipped, by reason.

    ``dropped`` counts, by field, the messages and records that lost something in it: an agent here
    acts in words, so calls of tools have no place.
    """

    rollouts: Rollouts
    skipped: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)


NO_PLACE = ("tool_calls", "function_call", "tools", "functions", "reasoning_content", "thinking")
"""Fields of records and messages that hold words or calls which trajectories have no place for."""


def import_trajectories(
    path: Path,
    form: str,
    *,
    kind: Literal["rollouts", "demos"] = "rollouts",
    on_error: Literal["stop", "skip"] = "stop",
    environment: Mapping[str, Any] | None = None,
    split: str = "train",
) -> Imported:
    """Read ``path`` (``form``: eto, sharegpt or jsonl).

    A demonstration without a score counts as a success with G = 1; a rollout must have one. Raises
    InputError at the first bad record, or with ``on_error="skip"`` only when none is good.
    """
    if form not in FORMATS:
        raise InputError(
            f"there is no import format '{form}'{did_you_mean(form, FORMATS)}; "
            f"there are {', '.join(FORMATS)}"
        )
    read: Callable[[Mapping[str, Any], str], _Episode] = (
        _from_jsonl if form == "jsonl" else _from_turns
    )
    texts = TextTable()
    trajectories: list[Trajectory] = []
    prompt: list[Message] | None = None
    skipped: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    for place, record in records(path):
        try:
            if isinstance(record, RecordError):
                raise record
            if not isinstance(record, dict):
                raise RecordError("the record is no JSON object")
            # Training on demonstrations does not need to know their tasks.
            episode = read(record, place if kind == "demos" else "")
            if episode.score is None and kind == "rollouts":
                raise RecordError("field 'score' is missing (rollouts need one in [0, 1])")
            prefix, turns = split_prompt(episode.messages)
            _check_turns(turns)
            if prompt is None:
                prompt = prefix
            elif prefix != prompt:
                raise RecordError("the prompt before the first observation differs from the first")
        except RecordError as error:
            if on_error == "stop":
                raise InputError(
                    f"{path} {place}: {error}; mend it, or skip bad records with --on-error skip"
                ) from None
            skipped[str(error)] += 1
            continue
        dropped.update(_without_place(record))
        trajectories.append(_trajectory(episode, turns, texts, samples[episode.task]))
        samples[episode.task] += 1
    if not trajectories:
        raise InputError(f"{path} holds no usable {form} record ({sum(skipped.values())} skipped)")
    rollouts = Rollouts(
        texts=texts,
        trajectories=trajectories,
        settings=[{"imported": form}],
        sources=[f"import:{path.name}"],
        environment=dict(environment or {}),
        split=split,
        prompt={"messages": prompt} if prompt else {},
    )
    return Imported(rollouts, dict(skipped), dict(dropped))


def _without_place(record: Mapping[str, Any]) -> list[str]:
    """The fields of ``NO_PLACE`` that the record or its messages have, one for each time."""
    turns = record.get("messages") or record.get("conversations") or []
    parts = [record, *(turn for turn in turns if isinstance(turn, dict))]
    return [name for part in parts for name in NO_PLACE if part.get(name)]


def _from_jsonl(record: Mapping[str, Any], otherwise: str) -> _Episode:
    messages = _list(record, "messages")
    return _Episode(
        task=_task(record, ("task", "id"), otherwise),
        messages=[message(m, n, "messages", "role", "content") for n, m in enumerate(messages)],
        **_outcome(record),
    )


def _from_turns(record: Mapping[str, Any], otherwise: str) -> _Episode:
    turns = _list(record, "conversations")
    meta = record.get("meta", {})
    if not isinstance(meta, dict):
        raise RecordError("field 'meta' is no JSON object")
    known = {**record, **meta}
    return _Episode(
        task=_task(known, ("task", "task_id", "id", "game_file", "session_id"), otherwise),
        messages=[message(t, n, "conversations", "from", "value") for n, t in enumerate(turns)],
        **_outcome(known),
    )


def _list(record: Mapping[str, Any], name: str) -> list[Any]:
    turns = record.get(name)
    if not isinstance(turns, list) or not turns:
        raise RecordError(f"field '{name}' is missing or no list of turns")
    return turns


def _task(record: Mapping[str, Any], names: tuple[str, ...], otherwise: str) -> str:
    for name in names:
        value = record.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            return str(value)
    if otherwise:
        return otherwise
    raise RecordError(f"field '{names[0]}' is missing (which task is it?)")


def message(turn: Any, number: int, name: str, role: str, content: str) -> Message:
    """A turn with the role in our terms; ``role`` and ``content`` are its keys."""
    if not isinstance(turn, dict):
        raise RecordError(f"field '{name}[{number}]' is no JSON object")
    speaker, text = turn.get(role), turn.get(content)
    if not isinstance(speaker, str) or speaker not in _ROLES:
        raise RecordError(f"field '{name}[{number}].{role}' is {speaker!r}, no known speaker")
    if not isinstance(text, str):
        raise RecordError(f"field '{name}[{number}].{content}' is no text")
    return {"role": _ROLES[speaker], "content": text}


def _outcome(record: Mapping[str, Any]) -> dict[str, Any]:
    """Score, success, ending and scores after each step; unknown ones follow from the score."""
    score = record.get("score", record.get("reward"))
    if score is not None and (
        isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1
    ):
        raise RecordError(f"field 'score' is {score!r}, not a number in [0, 1]")
    success = record.get("success", score is None or score == 1)
    if not isinstance(success, bool):
        raise RecordError(f"field 'success' is {success!r}, neither true nor false")
    end = record.get("end", DONE if success or score else STEP_LIMIT)
    if end not in ENDINGS:
        raise RecordError(f"field 'end' is {end!r}; endings are {', '.join(ENDINGS)}")
    scores = record.get("scores", [])
    if not isinstance(scores, list) or not all(isinstance(s, int | float) for s in scores):
        raise RecordError("field 'scores' is no list of numbers")
    return {
        "score": None if score is None else float(score),
        "success": success,
        "end": end,
        "scores": tuple(float(s) for s in scores),
    }


def split_prompt(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    """The prompt in front (system messages, an instruction answered by "OK") and the episode."""
    start = 0
    while start < len(messages) and messages[start]["role"] == "system":
        start += 1
    opening = messages[start : start + 2]
    if len(opening) == 2 and opening[1]["content"].strip().rstrip(".") == "OK":
        start += 2
    return messages[:start], messages[start:]


def _check_turns(turns: list[Message]) -> None:
    if not turns:
        raise RecordError("there is no turn after the prompt")
    for number, message in enumerate(turns):
        wanted = "assistant" if number % 2 else "user"
        if message["role"] != wanted:
            raise RecordError(
                f"turn {number + 1} is by the {message['role']}, not the {wanted} "
                "(observations and outputs must alternate)"
            )


def _trajectory(
    episode: _Episode, turns: list[Message], texts: TextTable, sample: int
) -> Trajectory:
    observations = [texts.intern(m["content"]) for m in turns if m["role"] == "user"]
    agent_texts = [m["content"] for m in turns if m["role"] == "assistant"]
    score = 1.0 if episode.score is None else episode.score
    outputs, thoughts, actions = [], [], []
    for output in agent_texts:
        before, mark, action = output.partition(ACTION)
        thought = before.strip().removeprefix("Thought:").strip() if mark else ""
        outputs.append(texts.intern(output))
        thoughts.append(texts.intern(thought) if thought else -1)
        actions.append(texts.intern(action) if mark else -1)
    scores = (
        episode.scores if len(episode.scores) == len(agent_texts) else (score,) * len(agent_texts)
    )
    return Trajectory(
        task=episode.task,
        sample=sample,
        setting=0,
        source=0,
        seed=0,
        instruction=observations[0],
        observations=tuple(observations),
        outputs=tuple(outputs),
        thoughts=tuple(thoughts),
        actions=tuple(actions),
        scores=scores,
        valid=tuple(action >= 0 for action in actions),
        score=score,
        success=episode.success,
        end=episode.end,
    )
