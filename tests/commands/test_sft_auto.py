"""``sft.epochs = auto``: lengths tried on dev, what is shared and resumed, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import Folder

SMALL = (
    "--env", "webshop", "--role", "strong",
    "--set", "demos.limit=4", "--set", "sft.batch_size=4", "--set", "sft.learning_rate=1e-3",
    "--set", "sft.max_length=512", "--set", "sft.too_long=keep-last-turns",
    "--set", "sft.auto_epochs=[2,1]", "--set", "sft.auto_tasks=2",
    "--set", "explore.max_new_tokens=4", "--set", "explore.max_context=256",
)  # fmt: skip


@pytest.fixture
def tratree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conversations: Any) -> Folder:
    folder = Folder(tmp_path, monkeypatch)
    folder.write("demos.jsonl", ({"messages": c} for c in conversations))
    return folder


@pytest.fixture
def words(policy: Path) -> tuple[str, ...]:
    return ("sft", "--model", str(policy), *SMALL)


def made(tratree: Folder, kind: str) -> dict[str, float]:
    """When each artifact of a kind was made, by its recipe."""
    listed = tratree("store", "ls", kind, "--json")
    assert listed.code == 0, listed.err
    return {line["recipe"]: line["created"] for line in listed.lines}


@pytest.mark.slow
def test_auto_takes_a_model_that_was_tried_under_a_key_of_its_own(
    tratree: Folder, words: tuple[str, ...]
) -> None:
    auto = tratree(*words, "--epochs", "auto", "--json")
    assert auto.code == 0, auto.err
    best = auto.json["summary"]["auto"]["epochs"]

    # The same training by its number is the very model that was tried: nothing runs again.
    before = made(tratree, "model")
    given = tratree(*words, "--epochs", f"{best:g}", "--json")
    assert given.json["object"] == auto.json["object"]
    assert made(tratree, "model") == before
    assert tratree(*words, "--epochs", "auto", "--dry-run", "--exit-code").code == 0

    # What decides is keyed: another number of dev tasks asks anew, on the same models.
    more = tratree(*words, "--epochs", "auto", "--set", "sft.auto_tasks=3")
    assert more.code == 0, more.err
    assert len(made(tratree, "model")) == len(before) + 1
    assert len(made(tratree, "evaluation")) == 4

    # The record is enough to make it again.
    verified = tratree("store", "verify", auto.json["ref"], "--recompute")
    assert verified.code == 0, verified.err


def test_the_curve_of_auto_is_told_and_its_evaluations_are_no_rows_of_a_report(
    tratree: Folder, words: tuple[str, ...]
) -> None:
    auto = tratree(*words, "--epochs", "auto", "--json")
    assert auto.code == 0, auto.err
    tried = auto.json["summary"]["auto"]["tried"]
    assert [(length["epochs"], length["updates"]) for length in tried] == [(1, 1), (2, 2)]
    assert f"auto: {auto.json['summary']['auto']['epochs']:g} epochs of 1, 2; dev" in auto.err
    longer = "--set sft.strong.auto_epochs=[1,2,3,4]"
    assert (longer in " ".join(auto.err.split())) is auto.json["summary"]["auto"]["rising"]
    shown = tratree("show", auto.json["ref"])
    assert "1 epochs, 1 updates: loss" in shown.out
    assert "dev reward" in shown.out
    tratree("report", "--existing").refused("holds no evaluation")

    # The chosen model was played already, and is not missing beside others on the same tasks.
    assert tratree("eval", auto.json["ref"], "--split", "dev", "--limit", "2").code == 0
    dev = ("eval", "--policy", "expert", "--env", "webshop", "--split", "dev", "--limit", "2")
    assert tratree(*dev).code == 0
    beside = tratree("report", "--existing", "--format", "results")
    assert [line.split(",")[2] for line in beside.out.splitlines()[1:]] == ["expert", "sft-strong"]


@pytest.mark.slow
def test_a_killed_search_goes_on_where_it_was(tratree: Folder, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "tratree_cli.app", *words, "--epochs", "auto", "--no-stdin"]
    running = subprocess.Popen(
        command, cwd=tratree.path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        while not (before := made(tratree, "model") if running.poll() is None else {}):
            assert running.poll() is None, "it ended before it could be killed"
            time.sleep(0.05)
        os.kill(running.pid, signal.SIGKILL)
    finally:
        running.kill()
        running.wait()
    done = tratree(*words, "--epochs", "auto")
    assert done.code == 0, done.err
    after = made(tratree, "model")
    assert len(after) == 3
    assert {recipe: after[recipe] for recipe in before} == before


def test_auto_needs_an_environment_and_a_number_or_the_word(
    tratree: Folder, words: tuple[str, ...]
) -> None:
    own = tratree(*words, "--demos", "demos.jsonl", "--epochs", "auto")
    own.refused("conversations of one's own have none; say a number, as in --epochs 24")
    tratree(*words, "--epochs", "many").refused("'sft.strong.epochs' must be a number or 'auto'")
    tratree(*words, "--epochs", "0").refused("'sft.strong.epochs' must be above 0")
    nothing = tratree(*words, "--epochs", "auto", "--set", "sft.auto_epochs=[]")
    nothing.refused("sft.auto_epochs is empty")
    assert not (tratree.path / ".tratree" / "objects").exists()


@pytest.mark.slow
def test_a_study_of_orders_shares_what_is_not_trained_on_rows_and_shows_the_curve(
    tratree: Folder,
) -> None:
    study = (
        "run", "--recipe", "micro", "--methods", "sft-strong,ceiling", "--orders", "2", "-j", "1",
        "--set", "models.strong=tratree-s", "--set", "demos.limit=4", "--set", "sft.batch_size=4",
        "--set", "sft.strong.epochs=auto", "--set", "sft.epochs=1", "--set", "eval.limit=2",
        "--set", "sft.auto_epochs=[2,1]", "--set", "sft.auto_tasks=2",
        "--set", "explore.limit=4", "--set", "explore.m=1", "--set", "dpo.batch_size=2",
        "--set", "explore.max_new_tokens=16", "--format", "json",
    )  # fmt: skip
    done = tratree(*study)
    assert done.code == 0, done.err
    report = json.loads(done.out)
    tables = {
        block["key"]: block
        for section in report["sections"]
        for block in section["blocks"]
        if "rows" in block
    }
    lengths = [[cell.get("value") for cell in row["cells"]] for row in tables["sft-length"]["rows"]]
    assert [row[:3] for row in lengths] == [
        ["SFT strong, seed 0", "1", 1],
        ["SFT strong, seed 0", "2", 2],
    ]
    notes = " ".join(tables["summary"]["notes"])
    assert "1 seed × 2 orders: " in notes
    listed = tratree("store", "ls", "model", "--stage", "train-strong", "--json")
    assert len({model["recipe"] for model in listed.lines}) == 2
    assert tratree(*study, "--dry-run", "--exit-code").code == 0
