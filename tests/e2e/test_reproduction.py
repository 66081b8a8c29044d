"""``verify --recompute`` holds for every kind of artifact that the micro recipe makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import run_tratree

QUICK = ("demos", "build-tree", "mine-pairs", "mcts", "report")
SLOW = ("sft", "explore", "ref-logps", "train-strong", "eval")


@pytest.mark.parametrize(
    "stage", [*QUICK, *(pytest.param(stage, marks=pytest.mark.slow) for stage in SLOW)]
)
def test_a_stage_run_again_gives_the_same_bytes(studied: Path, stage: str) -> None:
    listed = run_tratree(studied, "store", "ls", "--stage", stage, "--limit", "1", "--json")
    ref = json.loads(listed.stdout)["ref"]
    done = run_tratree(studied, "store", "verify", ref, "--recompute", timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ref}\n"
    assert "the same bytes" in done.stderr


def test_every_stage_of_the_recipe_is_among_them(studied: Path) -> None:
    listed = run_tratree(studied, "store", "ls", "--limit", "0", "--json")
    stages = {json.loads(line)["stage"] for line in listed.stdout.splitlines()}
    # What other tests of this folder may have made besides needs no check here.
    assert {*QUICK, *SLOW} <= stages
    assert stages - {*QUICK, *SLOW} <= {"import", "pretrain", "agreement"}
