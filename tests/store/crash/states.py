"""The states in which a power cut may leave the files, as ALICE (OSDI 2014) derives them.

At each moment of a recorded operation everything that was flushed before is there; of the rest any
part may be missing, in any combination, and a write may be torn. A change of names is flushed by
``fsync`` of its folder (a rename: of the folder that gains the name), content by ``fsync`` of its
file. One rename is taken as atomic, which every journaling file system gives.

The bound: at each moment all combinations are tried if there are at most ``limit``; else everything
kept, nothing kept, each prefix, each suffix, each change alone, each one missing, each two missing,
and combinations drawn with a fixed seed, until ``limit`` are reached.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from .recording import Disk, Op, apply


@dataclass(frozen=True)
class State:
    """What may lie on the disk after a power cut.

    Attributes:
        paths: path -> content, None for a folder.
        said: what the caller had been told by then.
        story: the moment, and what is missing, for messages.
    """

    paths: dict[str, bytes | None]
    said: frozenset[str]
    story: str

    def lay(self, folder: Path) -> None:
        """Write the state into an empty folder."""
        for path, data in sorted(self.paths.items()):
            if data is None:
                (folder / path).mkdir(parents=True, exist_ok=True)
            else:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)


def states(base: Disk, ops: list[Op], limit: int, seed: int = 0) -> Iterator[State]:
    """Every different state within the bound, moment by moment."""
    seen: set[tuple[bytes, frozenset[str]]] = set()
    draw = random.Random(seed)
    start = base.copy()
    for op in ops:  # new folders exist as nodes from the beginning; names make them reachable
        if op.is_folder:
            start.folders[op.node] = {}
    for moment in range(len(ops) + 1):
        past = ops[:moment]
        said = frozenset(op.text for op in past if op.kind == "said")
        changes = [op for op in past if op.kind not in ("sync", "said")]
        loose = [op for op in changes if not op.settled and not _flushed(op, past)]
        label = f"before step {moment} ({ops[moment] if moment < len(ops) else 'the end'})"
        for lost in _choices(loose, limit, draw):
            gone = {id(op) for op in lost}
            kept = [op for op in changes if id(op) not in gone]
            story = f"{label}; lost: {', '.join(map(str, lost)) or 'nothing'}"
            yield from _new(start, kept, said, story, seen)
        for torn in [op for op in loose if op.kind == "write" and len(op.data) > 1]:
            for name, data in (
                ("half of", torn.data[: len(torn.data) // 2]),
                ("zeros in", bytes(len(torn.data))),
            ):
                kept = [replace(op, data=data) if op is torn else op for op in changes]
                yield from _new(start, kept, said, f"{label}; {name} {torn.text}", seen)


def _flushed(op: Op, past: list[Op]) -> bool:
    wanted = op.node if op.kind == "write" else op.folder
    after = next(number for number, other in enumerate(past) if other is op)
    return any(other.kind == "sync" and other.node == wanted for other in past[after:])


def _new(
    start: Disk,
    kept: list[Op],
    said: frozenset[str],
    story: str,
    seen: set[tuple[bytes, frozenset[str]]],
) -> Iterator[State]:
    disk = start.copy()
    for op in kept:
        apply(disk, op)
    paths = disk.paths()
    digest = hashlib.sha256()
    for path, data in sorted(paths.items()):
        digest.update(f"{path}\0".encode())
        digest.update(b"folder" if data is None else hashlib.sha256(data).digest())
    key = digest.digest(), said
    if key not in seen:
        seen.add(key)
        yield State(paths, said, story)


def _choices(loose: list[Op], limit: int, draw: random.Random) -> Iterator[tuple[Op, ...]]:
    """Which of the changes are lost, from nothing to all, at most ``limit`` choices."""
    count = len(loose)
    if 2**count <= limit:
        for size in range(count + 1):
            yield from combinations(loose, size)
        return
    given = 0
    for choice in _telling(loose):
        if given == limit:
            return
        given += 1
        yield choice
    while given < limit:
        given += 1
        yield tuple(op for op in loose if draw.random() < 0.5)


def _telling(loose: list[Op]) -> Iterator[tuple[Op, ...]]:
    yield ()
    yield tuple(loose)
    for number, op in enumerate(loose):
        yield (op,)
        yield tuple(loose[number + 1 :])
        yield tuple(loose[:number])
        yield tuple(other for other in loose if other is not op)
    yield from combinations(loose, 2)
