"""An HTTP request and a reply as values, so that one worker process can hand them to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tratree_cli.errors import InputError


@dataclass(frozen=True)
class HttpRequest:
    """Method, path (decoded, without the token), query and the body's JSON (None without one)."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None

    def fields(self) -> dict[str, object]:
        """The body's fields; ``InputError`` if it is there and no object."""
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise InputError("the body of the request is not a JSON object")
        return self.body


@dataclass(frozen=True)
class HttpReply:
    """Status and a value that is sent as JSON."""

    status: int
    value: Any
