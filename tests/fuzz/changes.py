"""Changes that fuzzing makes to a valid file: of its bytes, or of the values in its JSON.

A parser that is only given noise is never tested behind its first check. So a case begins with a
valid seed, and a value is changed inside the seal: the digest is computed anew afterwards, as a
hostile author would.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

PIECES = (
    b"\0", b"\n", b"\xff\xfe", b"\xed\xa0\x80", b'"', b"{", b"[" * 3000, b"}" * 50, b"\\u0000",
    b"1e999", b"-1", b"99999999999999999999999", b"NaN", b"null", b"true", b'{"path":null}', b"..",
    b"../../x", b"/etc/passwd", b"{{ 9 }}", b"{% for i in range(9) %}", b"\xc3\xa9", b"\r\n", b"=",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, -(2**70), 1e308, 0.5, "", "x", "../x", "/etc/passwd", "a" *
    300, "\0", "\ud800", "é", "tree:0000", [], {}, [[]], [None], {"": None}, [1, "x"], "0" * 64,
    "g" * 64, "user", "assistant", "system",
)  # fmt: skip

_edit = st.tuples(
    st.sampled_from(["flip", "cut", "insert", "repeat"]),
    st.integers(0, 1 << 20),
    st.integers(0, 255),
    st.sampled_from(PIECES),
)
byte_edits = st.lists(_edit, min_size=1, max_size=4)
value_edits = st.lists(
    st.tuples(
        st.integers(0, 1 << 16),
        st.sampled_from(["set", "drop", "add", "copy"]),
        st.sampled_from(VALUES),
    ),
    min_size=1,
    max_size=3,
)


def changed_bytes(data: bytes, edits: list[tuple[str, int, int, bytes]]) -> bytes:
    """``data`` with bytes flipped, cut out, inserted or repeated."""
    for kind, where, number, piece in edits:
        place = where % (len(data) + 1)
        if kind == "flip" and data:
            place %= len(data)
            data = data[:place] + bytes([data[place] ^ (number or 1)]) + data[place + 1 :]
        elif kind == "cut":
            data = data[:place] + data[place + number :]
        elif kind == "insert":
            data = data[:place] + piece + data[place:]
        elif kind == "repeat":
            data = data[:place] + data[place : place + number] * 3 + data[place:]
    return data


def changed_value(value: Any, edits: list[tuple[int, str, Any]]) -> Any:
    """A JSON value with leaves or branches replaced, dropped, added or copied elsewhere."""
    value = copy.deepcopy(value)
    for number, kind, given in edits:
        new = copy.deepcopy(given)  # what is put in may be changed by the next edit
        places = list(_places(value))
        if not places:
            return new
        holder, key = places[number % len(places)]
        if kind == "set":
            holder[key] = new
        elif kind == "drop":
            del holder[key]
        elif kind == "copy":
            holder[key] = copy.deepcopy(places[(number // 7) % len(places)][0])
        elif isinstance(holder, dict):
            holder[str(new)[:40]] = new
        else:
            holder.insert(key, new)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def dumped(value: Any) -> bytes:
    """JSON, with whatever cannot be encoded replaced."""
    return json.dumps(value).encode("utf-8", "replace")
