"""``tratree init`` and the project file: what is written, what make does, where it counts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Command
from tratree_cli.commands.project import default_store, project_file

FAKE = """#!/bin/sh
echo "$@" >> "$CALLS"
echo "$1:of $2" | tr -d '-'
"""
"""Stands in for the stages, which other tests run: what matters here is when make asks for them."""


def make(folder: Path, *targets: str) -> list[str]:
    """The commands that ``make targets`` calls."""
    calls = folder / "calls"
    calls.unlink(missing_ok=True)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["make", "-s", *targets],
        cwd=folder,
        env={**environment, "CALLS": str(calls)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout, "utf-8")
    return (
        [line.split()[0] for line in calls.read_text("utf-8").splitlines()]
        if calls.exists()
        else []
    )


@pytest.fixture
def folder(tratree: Command, tmp_path: Path) -> Path:
    done = tratree("init", "--recipe", "micro")
    assert done.returncode == 0, done.stderr
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tratree").write_text(FAKE, "utf-8")
    (tmp_path / "bin" / "tratree").chmod(0o755)
    return tmp_path


def test_what_is_made_is_kept_out_of_git_and_nothing_else_is_lost(
    tratree: Command, folder: Path
) -> None:
    assert (folder / ".gitignore").read_text("utf-8") == ".tratree/\nrefs/\n"
    (folder / ".gitignore").write_text("own\n.tratree/", "utf-8")
    assert tratree("init", "--force").returncode == 0
    assert (folder / ".gitignore").read_text("utf-8") == "own\n.tratree/\nrefs/\n"


def test_help_lists_the_targets(folder: Path) -> None:
    assert make(folder, "help") == []
    said = (folder / "said").read_text("utf-8")
    for target in ("report", "compare", "clean-refs"):
        assert f"  make {target}: " in said


def test_a_touched_reference_is_asked_for_once_and_not_again(folder: Path) -> None:
    assert make(folder, "refs/pairs") == ["sft", "explore", "build-tree", "mine-pairs"]
    assert make(folder, "refs/pairs") == ["sft"]
    later = (folder / "refs" / "rollouts").stat().st_mtime + 10
    os.utime(folder / "refs" / "rollouts", (later, later))
    assert make(folder, "refs/pairs") == ["sft", "build-tree", "mine-pairs"]
    assert make(folder, "refs/pairs") == ["sft"]


def test_the_project_file_counts_in_the_folders_below_it(
    folder: Path, tratree: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = folder / "notes" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert project_file() == folder / "tratree.toml"
    assert default_store() == folder / ".tratree"
    monkeypatch.chdir(folder)
    assert project_file() == Path("tratree.toml")


def test_a_repository_ends_the_search(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = folder / "clone"
    (below / ".git").mkdir(parents=True)
    monkeypatch.chdir(below)
    assert project_file() is None
