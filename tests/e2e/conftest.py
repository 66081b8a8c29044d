"""The real command, in a process of its own, in an empty folder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import run_tratree

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tratree(tmp_path: Path) -> Command:
    """Call the command line in a fresh folder of this test."""

    def call(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
        return run_tratree(tmp_path, *words, **options)  # type: ignore[arg-type]

    return call


@pytest.fixture(scope="session")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the micro recipe has run once, from nothing to the report."""
    folder = tmp_path_factory.mktemp("studied")
    done = run_tratree(folder, "report", "--recipe", "micro", timeout=600)
    assert done.returncode == 0, done.stderr
    (folder / "report.txt").write_text(done.stdout, encoding="utf-8")
    (folder / "report.log").write_text(done.stderr, encoding="utf-8")
    return folder
