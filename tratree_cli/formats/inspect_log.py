"""Rollouts as a log of Inspect (``.eval``, version 2), for ``inspect view`` and its Python API.

A log is a zip file: ``header.json`` (what was run, figures over all), ``summaries.json`` (a line a
sample) and ``samples/ID_epoch_N.json`` (the conversation with its scores). A trajectory is a sample
whose id is the task; several trajectories of one task are its epochs. Times are the artifact's own,
so equal artifacts give equal bytes. Written without the package, which brings sixty others.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from tratree_cli.errors import InputError
from tratree_cli.formats.pairs import prefix_messages
from tratree_cli.formats.rollouts import (
    CONTEXT_OVERFLOW,
    STEP_LIMIT,
    Rollouts,
    Trajectory,
    conversation,
)

VERSION = 2
_LIMITS = {STEP_LIMIT: "custom", CONTEXT_OVERFLOW: "context"}
"""Inspect's word for the limit that ended a sample."""


@dataclass(frozen=True)
class LogHead:
    """What a log says beside its samples.

    ``identity`` is the artifact's object digest, ``created`` seconds since 1970, ``seconds`` what
    making it took; ``figures`` are values over all samples by scorer and metric (rewards in
    [0, 1]), ``metadata`` whatever else may be told as JSON.
    """

    task: str
    model: str
    identity: str
    created: float
    seconds: float = 0.0
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def write_inspect_log(rollouts: Rollouts, head: LogHead, path: Path) -> int:
    """Write ``rollouts`` as a ``.eval`` log; return the number of samples.

    Raises InputError when ``path`` cannot be written.
    """
    samples = list(_samples(rollouts, head))
    header = _header(samples, head, rollouts)
    started = {name: header[name] for name in ("version", "eval", "plan")}
    summaries = [_summary(sample) for sample in samples]
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, "_journal/start.json", started, head)
            for sample in samples:
                name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
                _add(archive, name, sample, head)
            _add(archive, "_journal/summaries/1.json", summaries, head)
            _add(archive, "summaries.json", summaries, head)
            _add(archive, "header.json", header, head)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    return len(samples)


def _add(archive: zipfile.ZipFile, name: str, value: Any, head: LogHead) -> None:
    when = datetime.fromtimestamp(head.created, UTC)
    info = zipfile.ZipInfo(name, (max(when.year, 1980), *when.timetuple()[1:6]))
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, orjson.dumps(value, option=orjson.OPT_INDENT_2))


def _samples(rollouts: Rollouts, head: LogHead) -> Iterator[dict[str, Any]]:
    prefix = prefix_messages(rollouts)
    epochs: Counter[str] = Counter()
    for trajectory in rollouts.trajectories:
        epochs[trajectory.task] += 1
        yield _sample(rollouts, trajectory, prefix, epochs[trajectory.task], head)


def _sample(
    rollouts: Rollouts,
    trajectory: Trajectory,
    prefix: Sequence[Mapping[str, str]],
    epoch: int,
    head: LogHead,
) -> dict[str, Any]:
    name = f"{trajectory.task}-{epoch}"
    source = rollouts.sources[trajectory.source] if rollouts.sources else ""
    messages = _messages(rollouts, trajectory, prefix, name)
    said = [message for message in messages if message["role"] == "assistant"]
    sample: dict[str, Any] = {
        "id": trajectory.task,
        "epoch": epoch,
        "input": rollouts.texts[trajectory.instruction],
        "target": "",
        "messages": messages,
        "output": {
            "model": head.model,
            "choices": [{"message": message, "stop_reason": "stop"} for message in said[-1:]],
            "completion": said[-1]["content"] if said else "",
        },
        "scores": _scores(rollouts, trajectory),
        "metadata": {
            "end": trajectory.end,
            "steps": trajectory.steps,
            "seed": trajectory.seed,
            "policy": source,
            "sampling": dict(rollouts.settings[trajectory.setting]) if rollouts.settings else {},
        },
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
        "uuid": f"{head.identity[:16]}-{name}",
        "turn_count": trajectory.steps,
    }
    if trajectory.sampled_tokens:
        sample["model_usage"] = {
            head.model: {
                "input_tokens": 0,
                "output_tokens": trajectory.sampled_tokens,
                "total_tokens": trajectory.sampled_tokens,
            }
        }
    if trajectory.end in _LIMITS:
        limit = {"type": _LIMITS[trajectory.end], "limit": trajectory.steps}
        sample["limit"] = {**limit, "reason": trajectory.end}
    elif not trajectory.counted:
        message = f"{trajectory.end}: {trajectory.detail}".rstrip(": ")
        sample["error"] = {"message": message, "traceback": "", "traceback_ansi": ""}
    return sample


def _messages(
    rollouts: Rollouts, trajectory: Trajectory, prefix: Sequence[Mapping[str, str]], name: str
) -> list[dict[str, Any]]:
    """The conversation, with the last observation, each turn of the agent with its score."""
    spoken: list[dict[str, Any]] = [*conversation(rollouts, trajectory, prefix)]
    if len(trajectory.observations) > trajectory.steps:
        last = rollouts.texts[trajectory.observations[-1]]
        spoken.append({"role": "user", "content": last})
    step = 0
    for number, message in enumerate(spoken):
        message["id"] = f"{name}-{number}"
        if number >= len(prefix) and message["role"] == "assistant":
            message["source"] = "generate"
            message["metadata"] = {
                "score": trajectory.scores[step],
                "had_effect": trajectory.valid[step],
            }
            step += 1
        else:
            message["source"] = "input"
    return spoken


def _scores(rollouts: Rollouts, trajectory: Trajectory) -> dict[str, Any]:
    if trajectory.score is None:
        return {}
    acted = [number for number in trajectory.actions if number >= 0]
    answer = rollouts.texts[acted[-1]] if acted else None
    reached = [
        f"step {step + 1}: {after:g}"
        for step, (before, after) in enumerate(pairwise((0.0, *trajectory.scores)))
        if after != before
    ]
    words = "; ".join([f"ended by {trajectory.end}", *reached])
    return {
        "reward": {"value": trajectory.score, "answer": answer, "explanation": words},
        "success": {"value": "C" if trajectory.success else "I", "answer": answer},
    }


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "epoch", "input", "target", "metadata", "scores", "model_usage", "uuid")
    summary = {name: sample[name] for name in kept}
    if "limit" in sample:
        summary["limit"] = sample["limit"]["type"]
    if "error" in sample:
        summary["error"] = sample["error"]["message"]
    more = {"completed": True, "message_count": len(sample["messages"])}
    return {**summary, **more, "turn_count": sample["turn_count"]}


def _header(
    samples: Sequence[Mapping[str, Any]], head: LogHead, rollouts: Rollouts
) -> dict[str, Any]:
    tasks = list(dict.fromkeys(sample["id"] for sample in samples))
    epochs = max((sample["epoch"] for sample in samples), default=1)
    setting = dict(rollouts.settings[0]) if len(rollouts.settings) == 1 else {}
    decoding = {name: setting[name] for name in ("temperature", "top_p") if name in setting}
    return {
        "version": VERSION,
        "status": "success",
        "eval": {
            "eval_id": head.identity[:22],
            "run_id": head.identity[:22],
            "task_id": head.identity[:22],
            "created": _time(head.created),
            "task": head.task,
            "dataset": {
                "name": head.task,
                "samples": len(tasks),
                "sample_ids": tasks,
                "shuffled": False,
            },
            "model": head.model,
            "model_generate_config": decoding,
            "config": {"epochs": epochs},
            "metadata": dict(head.metadata),
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": len(samples),
            "completed_samples": sum(1 for sample in samples if "error" not in sample),
            "scores": [
                {
                    "name": scorer,
                    "scorer": scorer,
                    "metrics": {
                        name: {"name": name, "value": value} for name, value in metrics.items()
                    },
                }
                for scorer, metrics in head.figures.items()
            ],
        },
        "stats": {
            "started_at": _time(head.created - head.seconds),
            "completed_at": _time(head.created),
            "model_usage": {},
        },
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
