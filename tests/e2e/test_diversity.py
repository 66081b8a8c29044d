"""Eq. 5 through the real pipeline: trajectories of the explorer differ more than the imitator's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.training.diversity import different
from tests.command_line import Folder

SMALL = ("--recipe", "micro", "--set", "demos.limit=24")


@pytest.mark.slow
def test_the_explorer_walks_more_different_paths_and_still_acts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tratree = Folder(tmp_path, monkeypatch)

    def made(*words: str) -> dict[str, Any]:
        done = tratree(*words, "--json")
        assert done.code == 0, done.err
        return done.json

    imitator = made("sft", *SMALL)
    demos = imitator["inputs"]["demos"][0]
    explorer = made("sft", demos, "--diverge-from", imitator["ref"])
    found = {}
    for name, model in (("imitator", imitator), ("explorer", explorer)):
        rollouts = made("explore", model["ref"], "-m", "6", "--limit", "12")
        tree = made("build-tree", rollouts["ref"])["summary"]
        found[name] = {**tree, **different([tmp_path / rollouts["path"]])}
    less, more = found["imitator"], found["explorer"]
    for measure in ("paths_per_tree", "entropy of trajectories, bits", "different actions a task"):
        assert more[measure] > less[measure], found
    # Diversity is worth nothing where it is bought with words that are no actions.
    assert more["share of valid actions"] > 0.8
