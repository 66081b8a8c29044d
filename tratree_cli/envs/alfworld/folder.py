"""A folder of official game files: which games count, in which split and order.

The rules are the original loader's: games about sliced or movable things and games that are marked
unsolvable do not count. Training games are in alphabetical order, since the original's order is
that of the disk; the unseen games are in the order of ETO's published list where all are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import orjson

from tratree_cli.envs.alfworld.households.tasks import TYPES
from tratree_cli.errors import InputError

GAME = "game.tw-pddl"
SPLITS = {"train": "train", "dev": "valid_seen", "test": "valid_unseen"}
"""ETO tunes on the seen rooms and tests on the unseen ones."""

EXCLUDED = ("movable", "Sliced")
SOLVABLE = (b'"solvable": true', b'"solvable":true')


@dataclass(frozen=True)
class GameFolder:
    """The games of a folder: tasks (``valid_seen/TYPE-.../trial_...``) per split, and a digest."""

    root: Path
    splits: Mapping[str, Sequence[str]]
    digest: str
    left_out: Mapping[str, int]

    def path(self, task: str) -> Path:
        """The game file of a task."""
        return self.root / task / GAME


def game_files(data: str) -> list[Path]:
    """All game files under a data folder; none for one that is no such folder."""
    root = _root(Path(data))
    return [] if root is None else sorted(_games(root))


def read_folder(folder: Path) -> GameFolder:
    """Read which games a folder has; InputError for one without any, or with a cut-off file."""
    root = _root(folder)
    if root is None:
        raise InputError(
            f"{folder} holds no ALFWorld games: it needs a folder train, valid_seen or "
            f"valid_unseen with {GAME} files (tratree env fetch alfworld --to {folder} brings them)"
        )
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    left_out: Counter[str] = Counter()
    lines = ["alfworld games 1"]
    for split, name in SPLITS.items():
        for path in sorted((root / name).glob(f"*/*/{GAME}")):
            task = path.parent.relative_to(root).as_posix()
            reason = _unfit(path, task, lines)
            if reason:
                left_out[reason] += 1
            else:
                splits[split].append(task)
    splits["test"] = _published_order(splits["test"])
    nonempty = {split: tuple(tasks) for split, tasks in splits.items() if tasks}
    if not nonempty:
        raise InputError(f"none of the games in {root} can be played ({dict(left_out)})")
    digest = sha256("\n".join(lines).encode()).hexdigest()
    return GameFolder(root, nonempty, digest, dict(left_out))


def _unfit(path: Path, task: str, lines: list[str]) -> str:
    """Why a game does not count, or ''; what counts adds a line to what the digest is made from."""
    if any(word in task for word in EXCLUDED):
        return "sliced or movable things"
    if task.split("/")[1].partition("-")[0] not in TYPES:
        return "another type of task"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    if not content.rstrip().endswith(b"}"):
        raise InputError(f"{path} was cut off; remove it and fetch the games again")
    if not any(mark in content for mark in SOLVABLE):
        return "not marked as solvable"
    lines.append(f"{task} {sha256(content).hexdigest()}")
    return ""


def _root(folder: Path) -> Path | None:
    """The folder with the splits: itself, or one named ``json_2.1...`` in it."""
    inner = sorted(folder.glob("json_2.1*")) if folder.is_dir() else []
    for place in (folder, *reversed(inner)):
        if any((place / name).is_dir() for name in SPLITS.values()):
            return place
    return None


def _games(root: Path) -> Iterator[Path]:
    for name in SPLITS.values():
        yield from (root / name).glob(f"*/*/{GAME}")


def _published_order(tasks: Sequence[str]) -> list[str]:
    published = [f"valid_unseen/{name}" for name in eto_lists()["unseen"]]
    return published if set(published) == set(tasks) else list(tasks)


def eto_lists() -> dict[str, list[str]]:
    """The games that ETO evaluates on: ``seen`` (140) and ``unseen`` (134), in its order."""
    content = files("tratree_cli.envs.alfworld").joinpath("data/eto_games.json").read_bytes()
    lists: dict[str, list[str]] = orjson.loads(content)
    return lists
