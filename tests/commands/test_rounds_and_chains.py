"""``run --rounds`` and ``run --chain`` from the command line, as small as trees still part."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Answer, Folder
from tests.tiny_models import make_model
from tratree_cli.resources import templates_dir

SMALL = """
recipe = "micro"
[models]
strong = "tratree-s"
[demos]
tasks = 8
[sft]
epochs = 1
batch_size = 4
max_length = 3000
[sft.strong]
learning_rate = 2e-3
[explore]
tasks = 4
m = 2
max_new_tokens = 64
[pairs]
min_gap = 0.0
[dpo]
batch_size = 4
[mcts]
min_score = -1.0
[rounds]
dev_tasks = 2
patience = 0
[eval]
tasks = 2
"""


@pytest.fixture
def tratree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    (tmp_path / "tratree.toml").write_text(SMALL)
    return Folder(tmp_path, monkeypatch)


def tables(report: Answer) -> dict[str, list[list[Any]]]:
    """The rows of each table, by the table's key."""
    return {
        block["key"]: [[cell.get("value") for cell in row["cells"]] for row in block["rows"]]
        for section in json.loads(report.out)["sections"]
        for block in section["blocks"]
        if "rows" in block
    }


def made(tratree: Folder, kind: str) -> dict[str, float]:
    """When each artifact of a kind was made, by its recipe."""
    listed = tratree("store", "ls", kind, "--json", "--limit", "0")
    return {line["recipe"]: line["created"] for line in listed.lines}


@pytest.mark.slow
def test_rounds_are_artifacts_that_a_longer_study_goes_on_from(
    tratree: Folder,
) -> None:
    study = ("run", "--methods", "sft-strong,tree-dpo", "-j", "1")
    two = tratree(*study, "--rounds", "2", "--format", "json")
    assert two.code == 0, two.err
    rounds = tables(two)["rounds"]
    assert [row[1:3] for row in rounds] == [["1", 8], ["2", 8]]
    assert rounds[1][3] > rounds[0][3]
    names = {row[0] for row in tables(two)["summary"]}
    assert {"W2SG tree-DPO", "W2SG tree-DPO, rounds", "W2SG tree-DPO, at once"} <= names

    # Equal budget: the control has the episodes and updates of both rounds.
    at_once = tratree("train-strong", "--method", "tree-dpo/at-once", "--frozen", "--json",
                      "--set", "rounds.number=2")  # fmt: skip
    assert at_once.code == 0, at_once.err
    assert at_once.json["summary"]["optimizer_steps"] == sum(row[4] for row in rounds)

    # One round more plays only what is new; what was there stays as it was made.
    before = {kind: made(tratree, kind) for kind in ("model", "rollouts", "tree", "evaluation")}
    three = tratree(*study, "--rounds", "3", "--format", "json")
    assert three.code == 0, three.err
    assert tables(three)["rounds"][:2] == rounds
    for kind, known in before.items():
        assert known.items() <= made(tratree, kind).items()
    assert len(made(tratree, "rollouts")) == len(before["rollouts"]) + 2  # round 3, at once
    assert tratree(*study, "--rounds", "3", "--frozen", "-n", "--exit-code").code == 0

    # The model of the rounds is one of theirs, and its record makes it again.
    found = tratree("store", "ls", "model", "--json", "--limit", "0")
    chosen = next(line for line in found.lines if line["stage"] == "rounds")
    assert chosen["object"] in {line["object"] for line in found.lines if line["stage"] != "rounds"}
    shown = tratree("show", chosen["ref"])
    assert "new episodes" in shown.out and "on 2 dev tasks" in shown.out
    verified = tratree("store", "verify", chosen["ref"], "--recompute")
    assert verified.code == 0, verified.err


@pytest.mark.slow
def test_a_round_without_new_divergences_ends_the_loop_with_a_sentence(
    tratree: Folder,
) -> None:
    # The same model plays greedily again: nothing that it has not played.
    same = ("--set", "rounds.explorer=weak", "--set", "explore.temperature=[0.0]")
    words = ("run", "--methods", "mcts", "--rounds", "3", "--no-controls", *same)
    done = tratree(*words, "-j", "1")
    assert done.code == 0, done.err
    sentence = "found no new divergence in the trees (8 new episodes), so it was not trained"
    assert sentence in " ".join(done.err.split())
    assert "Rounds, chosen on dev" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.slow
def test_chain_members_with_different_tokenizers_work_through_ref_logps(
    tratree: Folder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    shutil.copytree(templates_dir() / "models" / "tratree-s", folder / "same")
    other = make_model(folder / "other", "llama3")
    # Its tokenizer needs several times as many tokens for a page.
    about = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**about, "max_position_embeddings": 3000}))
    chain = f"tratree-s,{folder / 'same'},{other}"
    words = ("run", "--chain", chain, "--methods", "tree-dpo", "--no-controls", "-j", "1")
    done = tratree(*words, "--restart-from-demos", "--format", "json")
    assert done.code == 0, done.err
    found = tables(done)
    stairs = {row[0]: row[1:] for row in found["chain-tree-dpo-webshop-test"]}
    assert set(stairs) == {
        "SFT weak", "SFT strong", "W2SG tree-DPO", "W2SG tree-DPO, restarted, all episodes",
        "W2SG tree-DPO, chain", "ceiling",
    }  # fmt: skip
    assert all(len(values) == 2 for values in stairs.values())
    assert stairs["W2SG tree-DPO, chain"][0] == stairs["W2SG tree-DPO"][0]
    assert [row[1] for row in found["chain-gap-tree-dpo-webshop-test"]] == [
        "W2SG tree-DPO", "W2SG tree-DPO", "W2SG tree-DPO, chain",
    ]  # fmt: skip
    listed = tratree("store", "ls", "ref-logps", "--json", "--limit", "0").lines
    assert any(line["summary"]["pairs"] for line in listed)


def test_a_chain_and_its_control_are_asked_for_together(tratree: Folder) -> None:
    tratree("run", "--restart-from-demos").refused("is the control of a chain; add --chain")
    both = ("run", "--chain", "tratree-s,tratree-m", "--rounds", "2")
    tratree(*both, "--methods", "mcts").refused("drop --rounds or --chain")
    tratree("run", "--chain", "tratree-s", "-n").refused("a chain needs two models or more")


def test_the_trainings_of_rounds_are_given_nothing_by_themselves(tratree: Folder) -> None:
    rounds = ("train-strong", "--method", "tree-dpo/rounds", "--set", "rounds.number=2")
    plan = tratree(*rounds, "-n")
    assert "W2SG tree-DPO, up to 2 rounds" in plan.out, plan.err
    tratree(*rounds, "--processes", "2").refused("is made of several trainings")
    tratree("train-strong", "--method", "mcts/chain", "-n").refused("a chain needs two models")


def test_a_plan_of_rounds_and_of_a_chain_fits_80_columns(tratree: Folder) -> None:
    plan = tratree("run", "--methods", "tree-dpo", "--rounds", "3", "-n")
    assert plan.code == 0, plan.err
    assert "W2SG tree-DPO, up to 3 rounds" in plan.out
    chain = tratree("run", "--methods", "mcts", "--chain", "tratree-s,tratree-m,tratree-l", "-n")
    assert chain.code == 0, chain.err
    assert "exploration by the model before" in chain.out
    assert max(map(len, (plan.out + chain.out).splitlines())) <= 80
