"""Pairs, paths and trajectories for other people's trainers: TRL, ShareGPT and ETO files.

Each writes plain JSON lines (ETO: a JSON list, as its loader wants), one record a pair or a
conversation, in the order of the artifact. Scores and provenance are left out: these layouts have
no field for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.formats.pairs import Message, PairRecord, prefix_messages
from tratree_cli.formats.paths import PathRecord
from tratree_cli.formats.rollouts import Rollouts, conversation

FORMATS = ("trl", "sharegpt", "eto")
_SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system"}


def export_pairs(pairs: Iterable[PairRecord], form: str) -> Iterator[dict[str, Any]]:
    """Preference records: ``prompt``, ``chosen`` and ``rejected`` as TRL reads them, or as turns.

    ShareGPT names the prompt ``conversations``.
    """
    _check(form)
    for number, pair in enumerate(pairs):
        if form == "trl":
            yield dict(pair.messages().sides())
            continue
        sides = {"chosen": _turns(pair.chosen), "rejected": _turns(pair.rejected)}
        if form == "sharegpt":
            yield {"conversations": _turns(pair.prompt), **sides}
        else:
            yield {"id": f"{pair.task}_{number}", "prompt": _turns(pair.prompt), **sides}


def export_paths(paths: Iterable[PathRecord], form: str) -> Iterator[dict[str, Any]]:
    """Conversations to imitate: ``messages`` as TRL reads them, or ShareGPT turns."""
    return _conversations(((path.task, path.messages, {}) for path in paths), form)


def export_rollouts(rollouts: Rollouts, form: str) -> Iterator[dict[str, Any]]:
    """Every trajectory as a conversation; ETO records carry their reward and outcome."""
    prefix = prefix_messages(rollouts)
    return _conversations(
        (
            (
                trajectory.task,
                conversation(rollouts, trajectory, prefix),
                {"reward": trajectory.score, "success": trajectory.success},
            )
            for trajectory in rollouts.trajectories
        ),
        form,
    )


def write_export(records: Iterable[Mapping[str, Any]], path: Path, form: str) -> int:
    """Write records to ``path``; return their number. Raises InputError when it cannot be made."""
    count = 0
    try:
        with path.open("wb") as file:
            if form == "eto":
                listed = list(records)
                file.write(orjson.dumps(listed, option=orjson.OPT_INDENT_2) + b"\n")
                return len(listed)
            for record in records:
                file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
                count += 1
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    return count


def _conversations(
    conversations: Iterable[tuple[str, Sequence[Message], Mapping[str, Any]]], form: str
) -> Iterator[dict[str, Any]]:
    _check(form)
    for number, (task, messages, outcome) in enumerate(conversations):
        if form == "trl":
            yield {"messages": list(messages)}
        elif form == "sharegpt":
            yield {"conversations": _turns(messages)}
        else:
            record: dict[str, Any] = {"id": f"{task}_{number}", "conversations": _turns(messages)}
            if outcome:
                record["meta"] = {"task_id": task, **outcome}
            yield record


def _turns(messages: Sequence[Message]) -> list[Message]:
    return [{"from": _SPEAKERS[m["role"]], "value": m["content"]} for m in messages]


def _check(form: str) -> None:
    if form not in FORMATS:
        raise InputError(
            f"there is no export format '{form}'{did_you_mean(form, [*FORMATS, 'inspect'])}; "
            f"there are {', '.join(FORMATS)}, inspect"
        )
