"""Which goals are for training, tuning and testing.

ETO published lists of goal indices into the shuffled human goals of the full catalogue; they are
facts and ship as data. They overlap: 21 of the 200 test tasks are also training tasks, and one
training index is listed twice. The lists are offered as published (each index once), next to a
``test-clean`` without the overlap. Any other catalogue is split by product, so that no product is
shopped for in two splits.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files

import orjson

from tratree_cli.envs.webshop.goals import Goal

OFFICIAL_HUMAN_GOALS = 12_087
"""How many human goals the full official catalogue has; published indices count in these."""

DEV_RANGE = range(500, 1500)
"""The original authors' development goals, from which ETO's lists are taken out here."""

GOALS_PER_PRODUCT = 3
"""Further goals of a product only differ in the options asked for."""

SHARES = (("train", 70), ("dev", 80), ("test", 100))
"""Split by the hash of the asin modulo 100: below 70, below 80, the rest."""

Splits = Mapping[str, Sequence[int]]


def choose_splits(goals: Sequence[Goal], human: bool) -> Splits:
    """ETO's splits for the full official data with human goals, else one by product."""
    if human and len(goals) == OFFICIAL_HUMAN_GOALS:
        return eto_splits()
    return product_splits(goals)


def eto_splits() -> Splits:
    """``train`` (1,823 distinct), ``dev``, ``test`` (200), ``test-clean`` (179), ``test-500``."""
    lists = _published()
    train, test, large = (list(dict.fromkeys(lists[n])) for n in ("train", "test", "test-500"))
    used = {*train, *test, *large}
    return {
        "train": train,
        "dev": [index for index in DEV_RANGE if index not in used],
        "test": test,
        "test-clean": [index for index in test if index not in set(train)],
        "test-500": large,
    }


def eto_findings() -> dict[str, list[int]]:
    """What is wrong with the published lists: test tasks in train, and indices listed twice."""
    lists = _published()
    train = Counter(lists["train"])
    return {
        "test tasks that are also in train": sorted(set(lists["test"]) & set(train)),
        "listed twice in train": sorted(index for index, times in train.items() if times > 1),
    }


def product_splits(goals: Sequence[Goal]) -> Splits:
    """Train, dev and test by the hash of the product, at most three goals of each product."""
    splits: dict[str, list[int]] = {name: [] for name, _ in SHARES}
    taken: Counter[str] = Counter()
    for index, goal in enumerate(goals):
        if taken[goal.asin] < GOALS_PER_PRODUCT:
            taken[goal.asin] += 1
            splits[_share(goal.asin)].append(index)
    return splits


def _share(asin: str) -> str:
    place = int.from_bytes(hashlib.sha256(asin.encode()).digest()[:8], "big") % 100
    return next(name for name, bound in SHARES if place < bound)


def _published() -> dict[str, list[int]]:
    content = files("tratree_cli.envs.webshop").joinpath("data/eto_splits.json").read_bytes()
    published: dict[str, list[int]] = orjson.loads(content)
    return published
