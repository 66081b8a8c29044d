"""Further fields in the body of a served policy's requests (``explore.extra_body``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tratree_cli.errors import InputError

_KEY = "a key is never stored; set TRATREE_API_KEY in the environment"
_LENGTH = "set explore.max_new_tokens"
_SAMPLING = "set temperatures and masses of explore or eval"
RESERVED = {
    "model": "name the model in --policy openai:URL#MODEL",
    "messages": "they are the episode's",
    "temperature": _SAMPLING,
    "top_p": _SAMPLING,
    "max_tokens": _LENGTH,
    "max_completion_tokens": _LENGTH,
    "seed": "every turn has its own",
    "n": "a turn has one answer; set explore.m or --samples",
    "stream": "answers are read whole",
    "api_key": _KEY,
    "authorization": _KEY,
}
"""Fields that are set elsewhere, in lower case, and what to do instead."""


def parse_extra_body(text: str) -> dict[str, Any]:
    """The fields of a JSON object as typed after ``--extra-body``; ``InputError`` for others."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"--extra-body is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InputError(
            f"--extra-body takes a JSON object such as '{{\"top_k\": 20}}', not {text[:80]}"
        )
    require_extra_body(fields, "--extra-body")
    return fields


def require_extra_body(fields: Mapping[str, Any], origin: str) -> None:
    """Refuse a field that is set elsewhere, and a value that JSON cannot hold (NaN, a date)."""
    for name, value in fields.items():
        if advice := RESERVED.get(name.lower()):
            raise InputError(f"{origin}: '{name}' cannot be set here: {advice}")
        try:
            json.dumps(value, allow_nan=False)
        except (ValueError, TypeError, RecursionError):
            raise InputError(f"{origin}: '{name}' has a value that JSON cannot hold") from None
