"""JSON as clients write and read it: fast where it is plain, lenient where Python clients are."""

from __future__ import annotations

import json

import orjson

from tratree_cli.envs.serve.sessions import ProtocolError


def decode(data: str | bytes) -> object:
    """The value of a JSON text; ``ProtocolError`` names what is wrong with it.

    Python's own reader is the second try: it takes NaN, lone surrogates and numbers of any size,
    all of which Python clients write.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        pass
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("INVALID_JSON", f"the message is not JSON: {error}"[:200]) from error


def encode(value: object) -> bytes:
    """The JSON text of a value, also of one with lone surrogates or numbers beyond 64 bits."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()
