"""OpenEnv's messages: JSON in, and the JSON of answers, errors and schemas out.

The fields are those of ``openenv.core.env_server``; that package is not needed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tratree_cli.envs.serve.service import RESET_KEYS, EpisodeAnswer, action_text
from tratree_cli.envs.serve.sessions import ProtocolError
from tratree_cli.errors import InputError


def error_data(error: ProtocolError) -> dict[str, Any]:
    """The data of OpenEnv's error message."""
    return {"message": str(error), "code": error.code, **error.details}


def reset_data(answer: EpisodeAnswer, wanted: Mapping[str, object]) -> dict[str, Any]:
    """OpenEnv's answer to a reset; names the unknown keys (a misspelt one, say)."""
    data = {"observation": answer.observation(), "reward": None, "done": False}
    ignored = [str(key) for key in wanted if key not in RESET_KEYS]
    return data | {"metadata": {"ignored": ignored}} if ignored else data


def step_data(answer: EpisodeAnswer) -> dict[str, Any]:
    """OpenEnv's answer to a step."""
    state = answer.state
    return {"observation": answer.observation(), "reward": state.reward, "done": state.done}


def message_data(message: object, *, required: bool = True) -> dict[str, object]:
    data = message.get("data", None if required else {}) if isinstance(message, dict) else None
    if not isinstance(data, dict):
        raise ProtocolError("VALIDATION_ERROR", "data is missing, or not an object")
    return data


def action_of(fields: Mapping[str, object]) -> str:
    """The one field of an action (and OpenEnv's ``metadata``, which has no effect here)."""
    unknown = [str(key)[:40] for key in fields if key not in ("action", "metadata")]
    if unknown or "action" not in fields:
        what = f"'{unknown[0]}' is unknown" if unknown else "it is missing"
        raise ProtocolError("VALIDATION_ERROR", f"an action has one field, action; {what}")
    try:
        return action_text(fields["action"])
    except InputError as error:
        raise ProtocolError("VALIDATION_ERROR", str(error)) from error


_NUMBER, _TEXT, _FLAG = {"type": "number"}, {"type": "string"}, {"type": "boolean"}
SCHEMA: Mapping[str, Any] = {
    "action": {
        "title": "TextAction",
        "type": "object",
        "properties": {
            "action": {
                **_TEXT,
                "description": "The action, or a whole output with 'Action: ' in front of it.",
            }
        },
        "required": ["action"],
        "additionalProperties": False,
    },
    "observation": {
        "title": "TextObservation",
        "type": "object",
        "properties": {
            "text": {**_TEXT, "description": "What the agent sees."},
            "instruction": {**_TEXT, "description": "The task."},
            "available_actions": {
                "type": "array",
                "items": _TEXT,
                "description": "Actions that have an effect now; absent where not wanted.",
            },
            "score": {**_NUMBER, "description": "Score so far, 0 to 1."},
            "success": {**_FLAG, "description": "The environment's own success, at the end."},
            "valid": {**_FLAG, "description": "Whether the last action had an effect."},
            "steps": {"type": "integer", "description": "Steps so far."},
        },
        "required": ["text", "instruction", "score", "success", "valid", "steps"],
    },
    "state": {
        "title": "EpisodeState",
        "type": "object",
        "properties": {
            "episode_id": {"type": ["string", "null"]},
            "step_count": {"type": "integer"},
            "task": _TEXT,
            "score": _NUMBER,
            "done": _FLAG,
            "max_steps": {"type": "integer"},
        },
        "required": ["episode_id", "step_count"],
    },
}
