"""Joint training and its controls through the command line, with a tiny model."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import QUICK, Folder

FEW = ("--set", "train.epochs=2", "--set", "sft.max_length=4096", "--set", "dpo.ref=none")


@pytest.fixture
def tratree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conversations: Any) -> Folder:
    folder = Folder(tmp_path, monkeypatch)
    folder.write("demos.jsonl", ({"messages": c} for c in conversations))
    return folder


@pytest.fixture
def start(tratree: Folder, policy: Path, tmp_path: Path) -> str:
    """The model that training starts from, with positions for whole episodes."""
    base = shutil.copytree(policy, tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    made = tratree("sft", "--demos", "demos.jsonl", "--model", str(base), *QUICK)
    assert made.code == 0, made.err
    return made.out.strip()


@pytest.fixture
def learned(tratree: Folder) -> dict[str, str]:
    """Pairs and paths from the explorations of an expert and of chance."""
    played = tratree(
        "explore", "--policy", "expert", "--policy", "random", "--limit", "5", "-m", "2"
    )
    assert played.code == 0, played.err
    tree = tratree("build-tree", played.out.strip()).out.strip()
    made = {stage: tratree(stage, tree) for stage in ("mine-pairs", "mcts")}
    assert all(answer.code == 0 for answer in made.values()), made["mine-pairs"].err
    return {
        "pairs": made["mine-pairs"].out.strip(),
        "paths": made["mcts"].out.strip(),
        "tree": tree,
    }


def trained(tratree: Folder, *words: str) -> dict[str, Any]:
    made = tratree("train-strong", *words, *QUICK, *FEW, "--json")
    assert made.code == 0, made.err
    return {**made.json, "said": made.err}


@pytest.mark.slow
def test_pairs_and_paths_together_ask_for_joint_training(
    tratree: Folder, start: str, learned: dict[str, str]
) -> None:
    """It takes the steps of imitation; its controls take exactly as many, or twice that."""
    both = trained(tratree, learned["pairs"], learned["paths"], "--init", start)
    summary, document = both["summary"], both
    steps = 2 * math.ceil(summary["conversations"] / 4)
    assert summary["optimizer_steps"] == steps and summary["pairs"] > 0
    folder = tratree.path / document["path"]
    record = json.loads((folder / "training.json").read_text())
    used = record["parameters"]
    assert (used["imitation_weight"], used["batch_size"], used["beta"]) == (3.0, 4, 0.1)
    assert {"nll", "preference", "margin", "loss"} <= set(record["curves"])
    given = ("--init", start)
    for control, words, times in (
        ("tree-joint/mcts", (learned["paths"],), 1),
        ("tree-joint/mcts-twice", (learned["paths"],), 2),
        ("tree-joint/nll-only", (learned["pairs"], learned["paths"]), 1),
        ("tree-joint/swapped", (learned["pairs"], learned["paths"]), 1),
    ):
        made = trained(tratree, *words, "--method", control, *given)
        assert made["summary"]["optimizer_steps"] == times * steps, control
        assert made["object"] != both["object"]
    updates = ("--set", "joint.updates=3")
    fixed = trained(tratree, learned["pairs"], learned["paths"], *given, *updates)
    assert fixed["summary"]["optimizer_steps"] == 3
    twice = trained(
        tratree, learned["paths"], "--method", "tree-joint/mcts-twice", *given, *updates
    )
    assert twice["summary"]["optimizer_steps"] == 6


def test_without_pairs_it_imitates_and_without_paths_it_stays_as_it_was(
    tratree: Folder, start: str, learned: dict[str, str]
) -> None:
    none = tratree("mine-pairs", learned["tree"], "--set", "pairs.min_gap=2").out.strip()
    alone = trained(tratree, none, learned["paths"], "--init", start)
    assert "so this is imitation of the paths alone" in alone["said"]
    summary = alone["summary"]
    assert summary["optimizer_steps"] == 2 * math.ceil(summary["conversations"] / 4) > 0
    assert "pairs" not in summary
    nothing = tratree("mcts", learned["tree"], "--set", "mcts.min_score=1").out.strip()
    kept = tratree("train-strong", learned["pairs"], nothing, "--init", start, *QUICK, *FEW)
    assert kept.code == 0 and kept.out.strip() == start
    assert "no path scores above mcts.min_score; the result is the initial model" in kept.err


def test_what_joint_training_cannot_do_is_one_sentence(
    tratree: Folder, learned: dict[str, str]
) -> None:
    pairs, paths = learned["pairs"], learned["paths"]
    words = ("train-strong", pairs, paths, *QUICK)
    tratree(*words, "--set", "joint.nll_weight=-1").refused("'joint.nll_weight' must be at least 0")
    nothing = ("--set", "joint.nll_weight=0", "--set", "joint.preference_weight=0")
    tratree(*words, *nothing).refused("are all 0, so nothing would be learnt")
    alone = ("train-strong", pairs, *QUICK, "--set", "dpo.preference_weight=0")
    tratree(*alone).refused("dpo.preference_weight and dpo.nll_weight are both 0")
    tratree("train-strong", pairs, pairs).refused("one artifact of a kind, not several of pairs")
    tratree("train-strong", paths, "--method", "tree-dpo").refused("trains on pairs, not on paths")
    tratree("train-strong", "--method", "tree-dpo/swapped").refused(
        "there is no control 'tree-dpo/swapped' of tree-dpo", "tree-dpo/nll-only"
    )
    tratree("train-strong", pairs, "--set", "dpo.nll_on=turns").refused("did you mean 'turn'")
