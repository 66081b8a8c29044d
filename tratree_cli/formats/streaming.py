"""Trajectories read in pieces: lines that move from file to file.

A million trajectories as Python objects take gigabytes, as lines and columns they do not. Lines are
moved in blocks, each of which can be worked on by another process: what becomes of a block depends
on nothing but its lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tratree_cli.formats.columns import columns_from_records
from tratree_cli.formats.merging import Shift
from tratree_cli.formats.rollouts import TRAJECTORIES, json_lines, parsed, read_lines
from tratree_cli.trees.columns import Columns

_BLOCK = 1 << 18


@dataclass(frozen=True)
class Block:
    """Neighbouring lines of ``path``, the first of which is number ``begin`` (from 1)."""

    path: Path
    begin: int
    lines: list[bytes]
    shift: Shift

    def move(self) -> tuple[bytes, Columns]:
        """The lines as they stand where the artifact is merged into others, and their columns."""
        records = [
            self.shift(parsed(self.path, number, line))
            for number, line in enumerate(self.lines, start=self.begin)
        ]
        return json_lines(records), columns_from_records(records)


def blocks(folder: Path, shift: Shift, size: int = _BLOCK) -> Iterator[Block]:
    """All trajectories of an artifact, about ``size`` bytes at a time."""
    path = folder / TRAJECTORIES
    begin, lines, room = 1, [], size
    for number, line in read_lines(path):
        lines.append(line)
        room -= len(line)
        if room <= 0:
            yield Block(path, begin, lines, shift)
            begin, lines, room = number + 1, [], size
    if lines:
        yield Block(path, begin, lines, shift)
