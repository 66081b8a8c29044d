"""Reading zstd files of unknown origin: line by line, within limits of memory.

A few kilobytes of zstd can stand for gigabytes, so nothing is unpacked at once, no line may be
longer than ``LINE_BYTES``, and a file may stand for at most ``RATIO`` times its size (or for
``SMALL`` bytes, if that is more). Text of trajectories shrinks to a tenth, not to a thousandth.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import zstandard

from tratree_cli.errors import InputError

LINE_BYTES = 64 << 20
"""The longest line that is read: a text, a trajectory, a tree."""
RATIO = 200
"""Bytes that one byte of a compressed file may stand for."""
SMALL = 64 << 20
"""Bytes that any compressed file may stand for."""
WINDOW_BYTES = 128 << 20
"""Memory that a decompressor may ask for; what is written here needs 2 MiB."""
_PIECE = 1 << 20


class TooLargeError(Exception):
    """A compressed file stands for more than it may."""


def most_bytes(compressed: int) -> int:
    """What a file of ``compressed`` bytes may unpack to."""
    return max(SMALL, RATIO * compressed)


def unpacked(data: bytes) -> bytes:
    """All that ``data`` stands for; ``zstandard.ZstdError`` or ``TooLargeError`` if it cannot."""
    most = most_bytes(len(data))
    pieces, size = [], 0
    with _reader(io.BytesIO(data)) as stream:
        while piece := stream.read(_PIECE):
            size += len(piece)
            if size > most:
                raise TooLargeError
            pieces.append(piece)
    return b"".join(pieces)


def first_byte(path: Path, compressed: bool) -> bytes:
    """The first byte of a file that is no white space; empty where there is none in the first MiB.

    Damage is left to whoever reads on.
    """
    with path.open("rb") as file:
        stream = _reader(file) if compressed else file
        try:
            return stream.read(_PIECE).lstrip()[:1]
        except zstandard.ZstdError:
            return b""


def numbered_lines(
    path: Path, compressed: bool, longest: int = LINE_BYTES
) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers from 1, whether zstd or plain.

    Raises ``InputError`` for a torn file, a line of more than ``longest`` bytes, and a file that
    unpacks to more than it may.
    """
    number = size = 0
    try:
        with path.open("rb") as file:
            most = most_bytes(path.stat().st_size) if compressed else 0
            stream = io.BufferedReader(_reader(file), _PIECE) if compressed else file
            while line := stream.readline(
                min(longest, most - size) + 1 if compressed else longest + 1
            ):
                number += 1
                size += len(line)
                if compressed and size > most:
                    raise InputError(
                        f"{path} unpacks to more than {most >> 20} MiB, which its size does not "
                        "explain; unpack it yourself (zstd -d) if you trust it"
                    )
                if len(line) > longest:
                    raise InputError(
                        f"{path} line {number} is longer than {longest >> 20} MiB, which no "
                        "record is; split it, or make the file again"
                    )
                yield number, line
    except zstandard.ZstdError as error:
        raise InputError(f"{path} is not a whole zstd file (after line {number})") from error


def _reader(file: IO[bytes]) -> zstandard.ZstdDecompressionReader:
    decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
    return decompressor.stream_reader(file, read_across_frames=True)
