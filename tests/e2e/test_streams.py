"""The real command with streams that are closed and words that are not text."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXPLORE = ("explore", "--policy", "expert", "--limit", "2", "-m", "1", "--no-stdin")


def shell(folder: Path, words: tuple[str | bytes, ...], redirect: str = "", stdin: bytes = b"") -> (
    subprocess.CompletedProcess[bytes]
):  # fmt: skip
    command = [sys.executable, "-m", "tratree_cli.app", *words]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", *command],
        cwd=folder, input=stdin, capture_output=True, timeout=300, check=False,
        env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip


def test_closed_streams_do_not_turn_a_success_into_a_failure(tmp_path: Path) -> None:
    assert shell(tmp_path, EXPLORE, ">&-").returncode == 0  # made
    for redirect in (">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"):
        done = shell(tmp_path, EXPLORE, redirect)  # cached
        assert done.returncode == 0, (redirect, done.stderr)
        assert b"Traceback" not in done.stderr
    assert shell(tmp_path, EXPLORE, "2>&-").stdout.startswith(b"rollouts:")
    assert shell(tmp_path, ("store", "fsck"), "2>&-").returncode == 0
    assert shell(tmp_path, ("explore", "--env", "nowhere"), ">&- 2>&-").returncode == 2


def test_a_stdin_that_is_not_utf8_is_a_sentence(tmp_path: Path) -> None:
    done = shell(tmp_path, ("build-tree",), stdin=b"\xff\xfe\n")
    assert done.returncode == 2
    assert done.stderr.startswith(b"tratree: stdin is not UTF-8 text")


@pytest.mark.parametrize(
    "words",
    [
        ("explore", "--name", b"\xff"), ("explore", "--set", b"sft.epochs=\xff"), (b"\xff",),
        ("show", b"tree:\xff"), ("store", "ls", "--store", b"\xff"), ("sft", "--model", b"./\xff"),
    ],
)  # fmt: skip
def test_words_that_are_not_utf8_are_a_sentence(
    tmp_path: Path, words: tuple[str | bytes, ...]
) -> None:
    done = shell(tmp_path, words)
    assert done.returncode == 2
    assert done.stderr.startswith(b"tratree: '")
    assert b"is not UTF-8 text" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_project_file_that_is_not_utf8_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "tratree.toml").write_bytes(b'recipe = "\xff"\n')
    done = shell(tmp_path, EXPLORE)
    assert done.returncode == 2
    assert done.stderr.startswith(b"tratree: tratree.toml is not TOML")
