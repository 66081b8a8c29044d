"""Files of records by other programs: JSON lines or a JSON list, plain or zstd.

Lines are read one after the other, so that their number costs no memory; a list is read whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from tratree_cli.errors import InputError
from tratree_cli.formats.compressed import LINE_BYTES, first_byte, numbered_lines

LIST_BYTES = 512 << 20
"""The largest JSON list that is read."""


class RecordError(Exception):
    """What is wrong with one record: the field, and what was expected."""


def records(path: Path) -> Iterator[tuple[str, Any]]:
    """``(place, record)``: "line 7" of JSON lines, "record 7" of a JSON list.

    A line that is not JSON comes as a ``RecordError``. Raises ``InputError`` for a file that cannot
    be read, a list that is not JSON, and what is beyond the limits.
    """
    compressed = path.suffix == ".zst"
    try:
        if first_byte(path, compressed) == b"[":
            yield from _listed(path, compressed)
            return
        for number, line in numbered_lines(path, compressed, LINE_BYTES):
            if not line.strip():
                continue
            try:
                yield f"line {number}", orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield f"line {number}", RecordError(f"not JSON ({error.msg})")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _listed(path: Path, compressed: bool) -> Iterator[tuple[str, Any]]:
    content = bytearray()
    for _, line in numbered_lines(path, compressed, LIST_BYTES):
        content += line
        if len(content) > LIST_BYTES:
            raise InputError(
                f"{path} is a JSON list of more than {LIST_BYTES >> 20} MiB, which is read whole; "
                "write its records as JSON lines, one a line"
            )
    try:
        listed = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path} line {error.lineno} is not JSON: {error.msg}") from error
    for number, record in enumerate(listed, start=1):
        yield f"record {number}", record
