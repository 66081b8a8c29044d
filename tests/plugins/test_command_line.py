"""The command line of an installation with the example package: names everywhere, and a study."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import run_tratree

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tratree(installed: Path, tmp_path: Path) -> Command:
    """The command line in an empty folder, with the package installed."""

    def call(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {"PYTHONPATH": str(installed)}
        return run_tratree(tmp_path, *words, environment=environment, **options)  # type: ignore[arg-type]

    return call


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("run", "rejection-sampling"),
        ("train-strong", "rejection-sampling"),
        ("mine-pairs", "best-against-worst"),
        ("explore", "first-action"),
        ("eval", "first-action"),
    ],
)
def test_help_names_what_is_installed(tratree: Command, command: str, name: str) -> None:
    page = tratree(command, "--help").stdout
    assert name in "".join(page.replace("│", "").split())


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("tratree run --methods mcts,rej", "mcts,rejection-sampling"),
        ("tratree train-strong --method rej", "rejection-sampling"),
        ("tratree mine-pairs --rule best", "best-against-worst"),
        ("tratree eval --policy fir", "first-action"),
    ],
)
def test_the_shell_completes_what_is_installed(installed: Path, typed: str, offered: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tratree_cli.app import app; app(prog_name='tratree')"],
        env={
            "PYTHONPATH": str(installed),
            "_TRATREE_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [offered], done.stderr


def test_a_study_of_all_methods_plans_the_plugins_too(tratree: Command) -> None:
    plan = tratree("run", "--methods", "all", "--recipe", "micro", "--dry-run", "--json")
    assert plan.returncode == 0, plan.stderr
    labels = [json.loads(line)["label"] for line in plan.stdout.splitlines()]
    assert "strong model, rejection-sampling" in labels
    assert "evaluation of rejection sampling" in labels


@pytest.mark.slow
def test_a_study_trains_reports_and_plays_what_a_plugin_brings(tratree: Command) -> None:
    micro = ("--recipe", "micro", "--env", "webshop")
    setting = ("--set", "train.parameters.accepted-only.least_score=0.3")
    methods = ("--methods", "sft-strong,rejection-sampling")
    study = tratree("run", *micro, *setting, *methods, "--format", "markdown")
    assert study.returncode == 0, study.stderr
    assert "| rejection sampling |" in study.stdout
    pairs = tratree("mine-pairs", *micro, "--rule", "best-against-worst")
    assert pairs.returncode == 0, pairs.stderr
    played = tratree("eval", *micro, "--policy", "first-action")
    assert played.returncode == 0, played.stderr
    report = tratree("report", "--existing", "--format", "markdown")
    assert "| rejection sampling |" in report.stdout and "| first-action |" in report.stdout
    verified = tratree("store", "fsck")
    assert verified.returncode == 0, verified.stderr
