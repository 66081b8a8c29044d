"""The invented catalogue of oddities, and two shops on it as the original opened them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tratree_cli.envs.webshop import WebShop
from tratree_cli.envs.webshop.nouns import given_nouns

EDGE60 = Path(__file__).parent / "data" / "edge60"


@pytest.fixture(scope="session")
def edge60() -> Path:
    return EDGE60


@pytest.fixture(scope="session")
def answers() -> Callable[[str], list[Any]]:
    """The lines of one of the original's answer files."""

    def read(name: str) -> list[Any]:
        with (EDGE60 / name).open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    return read


@pytest.fixture(scope="session")
def shops(answers: Callable[[str], list[Any]]) -> dict[str, WebShop]:
    """Shops by the name that the answers use; the seeds are those the original was given."""
    nouns = given_nouns({line["title"]: line["nouns"] for line in answers("title_nouns.jsonl")})
    return {
        "edge60-human": WebShop.load(EDGE60, goal_kind="human", seed=2, nouns=nouns),
        "edge60-synth": WebShop.load(EDGE60, goal_kind="synthetic", seed=3, nouns=nouns),
    }
