"""Mining through the command line, on explorations of the random policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Folder


@pytest.fixture
def tratree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    return Folder(tmp_path, monkeypatch)


@pytest.fixture
def tree(tratree: Folder) -> str:
    """Trees of six tasks that were played at random and by the expert."""
    flags = ("--policy", "random", "--policy", "expert", "--limit", "6", "-m", "6")
    played = tratree("explore", *flags)
    assert played.code == 0, played.err
    return tratree("build-tree", played.out.strip()).out.strip()


def summary(tratree: Folder, *words: str) -> dict[str, Any]:
    mined = tratree("mine-pairs", *words, "--json")
    assert mined.code == 0, mined.err
    found: dict[str, Any] = mined.json["summary"]
    return found


EVERY = ("--per-task", "0", "--select", "all", "--set", "pairs.per_node=0")


def test_every_divergence_is_mined_and_told_by_what_differs(tratree: Folder, tree: str) -> None:
    found = summary(tratree, tree, *EVERY)
    assert sum(found["kinds"].values()) == found["pairs"] > 6
    words = {word for kind in found["kinds"] for word in kind.split(" over ")}
    assert words <= {"search", "item", "option", "buy", "navigation"}
    one = summary(tratree, tree, *EVERY, "--set", "pairs.per_kind=1")
    assert set(one["kinds"]) == set(found["kinds"]) and one["pairs"] < found["pairs"]
    shown = tratree("show", "pairs@latest")
    assert "what differs: " in shown.out


def test_a_level_may_be_typed_and_mixed_has_both(tratree: Folder, tree: str) -> None:
    step, whole, mixed = (
        summary(tratree, tree, *EVERY, "--level", level)
        for level in ("step", "trajectory", "mixed")
    )
    assert step["pairs"] <= whole["pairs"] < mixed["pairs"] <= step["pairs"] + whole["pairs"]
    tratree("mine-pairs", tree, "--level", "stp").refused("did you mean 'step'")


def test_no_pair_has_a_side_without_an_effect_unless_asked_for(tratree: Folder, tree: str) -> None:
    found = summary(tratree, tree, *EVERY)
    kept = summary(tratree, tree, *EVERY, "--set", "pairs.keep_invalid=true")
    assert kept["pairs"] >= found["pairs"]
    assert "side without effect" not in kept["dropped"]


def test_what_is_typed_goes_before_what_a_recipe_says_of_one_rule(tratree: Folder) -> None:
    (tratree.path / "tratree.toml").write_text("[pairs.rules.tree]\nper_task = 1\n")
    played = tratree("explore", "--policy", "random", "--policy", "expert", "--limit", "6")
    tree = tratree("build-tree", played.out.strip()).out.strip()
    own = summary(tratree, tree)
    typed = summary(tratree, tree, "--per-task", "3")
    assert typed == summary(tratree, tree, "--set", "pairs.per_task=3")
    assert typed["pairs"] > own["pairs"]
    assert own == summary(tratree, tree, "--set", "pairs.rules.tree.per_task=1")
