"""Which tasks there are: families, step limits, and the published and the official splits.

A task is written ``family/variation``. The lists ``train``, ``dev`` and ``test`` are ETO's, which
the paper's numbers are on: 24 of the 30 families, 1,483, 194 ("seen") and 211 ("unseen") tasks, of
which 54 in dev are also in train. The simulator's own halves and quarters of every family stand
beside them as ``train-official``, ``dev-official`` and ``test-official``. All of it is known
without starting the simulator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import orjson

from tratree_cli.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Family:
    """A task family: its step limit and the sizes of its official train, dev and test parts."""

    limit: int
    parts: tuple[int, int, int]
    published: bool = True
    """Whether the limit is ETO's; otherwise it is tratree's (the simulator's solution fits)."""

    @property
    def variations(self) -> int:
        return sum(self.parts)


FAMILIES: Mapping[str, Family] = {
    "boil": Family(100, (14, 7, 9)),
    "melt": Family(80, (14, 7, 9)),
    "freeze": Family(80, (14, 7, 9)),
    "change-the-state-of-matter-of": Family(80, (14, 7, 9)),
    "use-thermometer": Family(30, (270, 135, 135)),
    "measure-melting-point-known-substance": Family(120, (218, 109, 109)),
    "measure-melting-point-unknown-substance": Family(100, (150, 75, 75), published=False),
    "power-component": Family(20, (10, 5, 5)),
    "power-component-renewable-vs-nonrenewable-energy": Family(30, (10, 5, 5)),
    "test-conductivity": Family(30, (450, 225, 225)),
    "test-conductivity-of-unknown-substances": Family(30, (300, 150, 150)),
    "find-living-thing": Family(15, (150, 75, 75)),
    "find-non-living-thing": Family(15, (150, 75, 75)),
    "find-plant": Family(15, (150, 75, 75)),
    "find-animal": Family(15, (150, 75, 75)),
    "grow-plant": Family(30, (62, 31, 33)),
    "grow-fruit": Family(60, (62, 31, 33)),
    "chemistry-mix": Family(60, (16, 8, 8)),
    "chemistry-mix-paint-secondary-color": Family(15, (18, 9, 9)),
    "chemistry-mix-paint-tertiary-color": Family(30, (18, 9, 9)),
    "lifespan-longest-lived": Family(10, (62, 31, 32)),
    "lifespan-shortest-lived": Family(10, (62, 31, 32)),
    "lifespan-longest-lived-then-shortest-lived": Family(12, (62, 31, 32)),
    "identify-life-stages-1": Family(30, (6, 3, 5)),
    "identify-life-stages-2": Family(30, (4, 2, 4)),
    "inclined-plane-determine-angle": Family(100, (84, 42, 42), published=False),
    "inclined-plane-friction-named-surfaces": Family(60, (692, 346, 348), published=False),
    "inclined-plane-friction-unnamed-surfaces": Family(210, (80, 40, 42), published=False),
    "mendelian-genetics-known-plant": Family(140, (60, 30, 30), published=False),
    "mendelian-genetics-unknown-plant": Family(140, (240, 120, 120), published=False),
}
OFFICIAL = ("train-official", "dev-official", "test-official")


def is_electrical(family: str) -> bool:
    """Whether connecting things is part of the task; the simulator's own rule, by name."""
    return "power-component" in family or "conductivity" in family


def parse(task: str) -> tuple[str, int]:
    """``(family, variation)`` of a task; ``InputError`` names what is unknown about it."""
    name, slash, number = task.partition("/")
    family = FAMILIES.get(name)
    if family is None:
        raise InputError(
            f"ScienceWorld has no task '{name}'{did_you_mean(name, FAMILIES)}; "
            "a task is written family/variation, find-animal/12"
        )
    # isdecimal alone would let in digits of other scripts and leading zeros.
    plain = (
        len(number) < 10 and number.isascii() and number.isdecimal() and str(int(number)) == number
    )
    if not slash or not plain or int(number) >= family.variations:
        raise InputError(
            f"ScienceWorld's {name} has no variation '{number[:80]}'; "
            f"its variations are 0 to {family.variations - 1}, as in {name}/0"
        )
    return name, int(number)


@cache
def splits(wanted: str = "*") -> Mapping[str, Sequence[str]]:
    """Tasks per split of the families that match one of the comma-separated patterns."""
    families = choose_families(wanted)
    chosen = {
        name: tuple(task for task in tasks if task.partition("/")[0] in families)
        for name, tasks in _published().items()
    }
    return {**chosen, **_official(families)}


def choose_families(wanted: str) -> list[str]:
    """The families that match ``find-*,boil``; ``InputError`` for a pattern without any."""
    chosen: set[str] = set()
    for pattern in wanted.split(","):
        matching = [name for name in FAMILIES if fnmatchcase(name, pattern.strip())]
        if not matching:
            hint = did_you_mean(pattern.strip(), FAMILIES)
            raise InputError(f"no ScienceWorld task matches '{pattern.strip()}'{hint}")
        chosen.update(matching)
    return [name for name in FAMILIES if name in chosen]


def seen_in_training() -> int:
    """How many tasks of ETO's dev list are in its train list too."""
    published = _published()
    return len(set(published["dev"]) & set(published["train"]))


def _official(families: Sequence[str]) -> dict[str, Sequence[str]]:
    """The simulator's own contiguous parts, a variation of every family at a time."""
    splits: dict[str, Sequence[str]] = {}
    for part, split in enumerate(OFFICIAL):
        numbered = [
            (place, order, f"{name}/{sum(FAMILIES[name].parts[:part]) + place}")
            for order, name in enumerate(families)
            for place in range(FAMILIES[name].parts[part])
        ]
        splits[split] = tuple(task for _, _, task in sorted(numbered))
    return splits


def _published() -> dict[str, list[str]]:
    content = files("tratree_cli.envs.scienceworld").joinpath("data/eto_splits.json").read_bytes()
    published: dict[str, list[str]] = orjson.loads(content)
    return published
