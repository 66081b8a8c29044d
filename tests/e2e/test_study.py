"""``tratree run`` and ``report --existing`` through the real command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Command, run_tratree


def test_a_study_of_one_seed_is_the_report_and_costs_nothing_after_it(studied: Path) -> None:
    study = run_tratree(studied, "run", "--recipe", "micro", "--frozen")
    assert study.returncode == 0, study.stderr
    assert study.stdout == (studied / "report.txt").read_text("utf-8")


def test_a_plan_says_what_is_shared_and_what_it_would_take(studied: Path) -> None:
    words = ("run", "--recipe", "micro", "--seeds", "2", "--sweep", "dpo.beta=0.1,0.5", "-n")
    plan = run_tratree(studied, *words)
    assert plan.returncode == 0, plan.stderr
    assert "of work going by earlier runs" in plan.stdout
    lines = [
        json.loads(line) for line in run_tratree(studied, *words, "--json").stdout.splitlines()
    ]
    states = [line["state"] for line in lines if line["label"] == "demonstrations"]
    assert states == ["cached"]
    missing = [line for line in lines if line["state"] != "cached"]
    assert all(line["seconds"] is not None for line in missing)
    assert run_tratree(studied, *words, "--exit-code").returncode == 4


def test_existing_evaluations_make_a_report_without_running_anything(studied: Path) -> None:
    found = run_tratree(studied, "report", "--existing", "--format", "json")
    assert found.returncode == 0, found.stderr
    document = json.loads(found.stdout)
    rows = document["sections"][0]["blocks"][0]["rows"]
    names = {row["cells"][0]["value"] for row in rows}
    assert {"expert", "random", "SFT weak", "SFT strong", "W2SG tree-DPO", "W2SG MCTS"} <= names
    narrowed = run_tratree(studied, "report", "--existing", "--recipe", "quick")
    assert narrowed.returncode == 2
    assert "no evaluation by recipe quick" in narrowed.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--methods", "mtcs"), "there is no method 'mtcs'"),
        (("--sweep", "explore.mm=3"), "did you mean 'explore.m'?"),
        (("--sweep", "explore.m=3,3"), "the value 3 is there twice"),
        (("--format", "pdf"), "there is no format 'pdf'"),
    ],
)
def test_bad_input_is_one_sentence(tratree: Command, words: tuple[str, ...], sentence: str) -> None:
    refused = tratree("run", "--recipe", "micro", *words)
    assert refused.returncode == 2
    assert sentence in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
