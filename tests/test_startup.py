"""What starting the command costs: which modules ``--help`` and a cached stage import."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tratree_cli.app import exit_code, report_error

HEAVY = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "sentence_transformers",
    "sqlite_utils",
    "pandas",
    "scipy",
    "matplotlib",
    "pydantic",  # what typer validates with; see ``startup.skip_validation``
    "fsspec",
)

PROBE = """
import sys, atexit
from tratree_cli.app import app
try:
    app(sys.argv[1:], prog_name="tratree")
except SystemExit:
    pass
print(" ".join(sorted(sys.modules)), file=sys.stderr)
"""


def loaded(folder: Path, *words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words",
    [["--help"], ["explore", "--help"], ["store", "ls"], ["explore", "--policy", "expert", "-n"]],
    ids=" ".join,
)
def test_help_and_listings_import_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    assert not loaded(tmp_path, *words) & set(HEAVY)


def test_a_cached_stage_imports_nothing_heavy(tmp_path: Path) -> None:
    words = ["explore", "--policy", "expert", "--limit", "2", "-m", "1"]
    loaded(tmp_path, *words)
    assert not loaded(tmp_path, *words) & set(HEAVY)


def test_the_root_help_imports_no_command(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "--help")
    assert not [m for m in modules if m.startswith("tratree_cli.commands.")]


def ended(folder: Path, *words: str, stdout: str) -> subprocess.CompletedProcess[str]:
    """The command as a user starts it, its output redirected by a shell."""
    line = f"{sys.executable} -m tratree_cli.app {' '.join(words)} {stdout}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_quick_way_out_writes_everything_and_keeps_exit_codes(tmp_path: Path) -> None:
    listed = ended(tmp_path, "--help", stdout="| cat")
    assert (listed.returncode, "build-tree" in listed.stdout) == (0, True)
    assert ended(tmp_path, "store", "why", "nothing", stdout="").returncode == 2


@pytest.mark.parametrize("words", [["--help"], ["store", "ls", "nonsense", "--json"]], ids=" ".join)
def test_a_full_disk_behind_stdout_is_one_sentence(tmp_path: Path, words: list[str]) -> None:
    done = ended(tmp_path, *words, stdout="> /dev/full")
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert "No space left" in done.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_is_full_while_a_stage_writes_is_a_sentence(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OSError(number, os.strerror(number))
    assert exit_code(error) == 1
    report_error(error, 1)
    said = capsys.readouterr().err
    assert "could not be written" in said
    assert "--store" in said
