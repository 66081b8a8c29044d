"""``tratree run`` and ``report --existing`` through the real command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Command, run_tratree


def summary_rows(document: dict[str, Any]) -> list[Any]:
    """The rows of a report's main table."""
    summary = next(one for one in document["sections"] if one["key"] == "summary")
    rows: list[Any] = summary["blocks"][0]["rows"]
    return rows


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


def test_a_forced_report_is_in_the_plan(studied: Path) -> None:
    words = ("report", "--recipe", "micro", "-n", "--json")
    for flags, expected in (((), "cached"), (("--force",), "would run")):
        lines = run_tratree(studied, *words, *flags).stdout.splitlines()
        states = {line["label"]: line["state"] for line in map(json.loads, lines)}
        assert states.pop("report") == expected
        assert ("asked to make it again" in lines[-1]) == bool(flags)
        assert set(states.values()) == {"cached"}


def test_existing_evaluations_make_a_report_without_running_anything(studied: Path) -> None:
    found = run_tratree(studied, "report", "--existing", "--format", "json")
    assert found.returncode == 0, found.stderr
    document = json.loads(found.stdout)
    rows = summary_rows(document)
    names = {row["cells"][0]["value"] for row in rows}
    assert {"expert", "random", "SFT weak", "SFT strong", "W2SG tree-DPO", "W2SG MCTS"} <= names
    narrowed = run_tratree(studied, "report", "--existing", "--recipe", "quick")
    assert narrowed.returncode == 2
    assert "no evaluation by recipe quick" in narrowed.stderr


def test_the_results_of_a_store_are_a_file_with_a_line_an_evaluation(studied: Path) -> None:
    made = run_tratree(studied, "report", "--existing", "--format", "results", "-o", "results.csv")
    assert made.returncode == 0, made.stderr
    header, *lines = (studied / "results.csv").read_text("utf-8").splitlines()
    assert header.startswith("environment,split,method,variant,seed,data_seed,tasks,reward,")
    named = {line.split(",")[2]: line.split(",") for line in lines}
    assert {"expert", "random", "sft-weak", "sft-strong", "tree-dpo", "mcts"} <= named.keys()
    assert named["expert"][4:6] == ["", ""] and named["mcts"][4:6] == ["0", "0"]
    script = Path(__file__).parents[2] / "docs" / "study" / "recompute.py"
    table = subprocess.run(
        [sys.executable, "-I", script, "results.csv"],
        cwd=studied,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "| mcts | " in table.stdout and "no test" in table.stdout


SAME_ROWS = ("nll-only", "swapped", "unstructured", "mirror-only")


@pytest.mark.slow
def test_a_method_is_studied_beside_its_controls_at_equal_updates(studied: Path) -> None:
    words = ("report", "--recipe", "micro", "--methods", "sft-strong,tree-joint", "--controls")
    made = run_tratree(studied, *words, "--format", "json", timeout=900)
    assert made.returncode == 0, made.stderr
    rows = summary_rows(json.loads(made.stdout))
    steps = {}
    for variant in ("", *(f"/{name}" for name in (*SAME_ROWS, "mcts", "sft-more", "mcts-twice"))):
        method = f"tree-joint{variant}"
        words = ("train-strong", "--recipe", "micro", "--method", method, "--frozen", "--json")
        trained = run_tratree(studied, *words)
        assert trained.returncode == 0, trained.stderr
        steps[variant.removeprefix("/")] = json.loads(trained.stdout)["summary"]["optimizer_steps"]
    own = steps[""]
    assert steps == {name: (2 if name == "mcts-twice" else 1) * own for name in steps}
    names = {row["cells"][0]["value"] for row in rows}
    assert names == {
        "SFT strong", f"SFT strong, +{own} updates", "W2SG MCTS", f"W2SG MCTS, +{2 * own} updates",
        "tree-joint", "tree-joint, NLL alone",
        "tree-joint, sides swapped at random", "tree-joint, unstructured pairs",
        "tree-joint, mirror pairs alone",
    }  # fmt: skip


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


@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_stage_that_fails_costs_only_the_cells_that_need_it(
    studied: Path, tmp_path: Path, jobs: str
) -> None:
    shutil.copytree(studied / ".tratree", tmp_path / ".tratree")
    words = ("--methods", "sft-strong,tree-dpo", "--sweep", "dpo.learning_rate=1e9", "-j", jobs)
    study = run_tratree(tmp_path, "run", "--recipe", "micro", "--format", "json", *words)
    assert study.returncode == 3, study.stderr
    assert "strong model, tree-dpo, dpo.learning_rate=1000000000.0 failed: the loss" in study.stderr
    assert "2 of 3 evaluations" in study.stderr.splitlines()[-1]
    document = json.loads(study.stdout)
    rows = summary_rows(document)
    assert [row["cells"][0]["value"] for row in rows] == ["SFT strong", "W2SG tree-DPO"]
    assert any("evaluation of W2SG tree-DPO, dpo.learning" in text for text in document["warnings"])

    # Where nothing is left to report, what stopped it is the answer.
    broken = ("--methods", "tree-dpo", "--set", "dpo.learning_rate=1e9", "-j", jobs)
    alone = run_tratree(tmp_path, "run", "--recipe", "micro", *broken)
    assert alone.returncode == 1 and alone.stdout == ""
    assert "lower learning_rate" in alone.stderr.splitlines()[-1]


def test_a_terminal_that_knows_only_ascii_still_gets_the_report(studied: Path) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    shown = run_tratree(studied, "show", "report@latest", environment=ascii_only)
    assert shown.returncode == 0, shown.stderr
    assert "W2SG MCTS" in shown.stdout and shown.stdout.isascii()


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGKILL])
def test_a_study_that_is_ended_leaves_no_process_behind(
    tmp_path: Path, blow: signal.Signals
) -> None:
    words = ["run", "--recipe", "micro", "--methods", "sft-weak,sft-strong", "-j", "2"]
    log = tmp_path / "err"
    with log.open("w") as stderr:
        study = subprocess.Popen(
            [sys.executable, "-m", "tratree_cli.app", *words],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    running = ("] SFT weak", "] SFT strong")  # … [3/5] SFT weak
    assert within(120, lambda: all(words in log.read_text("utf-8") for words in running))
    study.send_signal(blow)
    code = study.wait(60)
    # The session's processes have its leader's group; when the group is gone, all of them are.
    assert within(60, lambda: not alive(study.pid))
    assert code == (130 if blow == signal.SIGTERM else -signal.SIGKILL)
    if blow == signal.SIGTERM:
        assert "run the same command again" in log.read_text("utf-8")


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def within(seconds: float, true: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
