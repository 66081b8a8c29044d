"""``tratree store ls`` and references: a misspelt kind is told from an empty store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import run_tratree


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("listed")
    done = run_tratree(made, "explore", "--policy", "expert", "--limit", "2", "-m", "1")
    assert done.returncode == 0, done.stderr
    return made


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ls", "rollout"], "(did you mean 'rollouts'?)"),
        (["ls", "--stage", "explor"], "(did you mean 'explore'?)"),
        (["show", "rollout@latest"], "did you mean 'rollouts@latest'?"),
    ],
)
def test_a_misspelt_word_names_the_nearest(folder: Path, words: list[str], said: str) -> None:
    done = run_tratree(folder, "store", *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_kind_of_which_there_is_nothing_is_no_error(folder: Path) -> None:
    done = run_tratree(folder, "store", "ls", "tree")
    assert done.returncode == 0
    assert "nothing of kind 'tree'" in done.stderr


def test_the_next_line_names_what_was_made(folder: Path) -> None:
    done = run_tratree(folder, "explore", "--policy", "expert", "--limit", "2", "-m", "1")
    assert f"next: tratree build-tree {done.stdout[:21]}\n" in done.stderr
    assert "saved" in done.stderr
