"""Every command is documented, and the documentation is what the program says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tratree_cli.app import COMMANDS

REPOSITORY = Path(__file__).resolve().parent.parent


def test_the_generated_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "docs/build.py", "--check"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_names_every_command() -> None:
    text = (REPOSITORY / "README.md").read_text("utf-8")
    for name in COMMANDS:
        assert f"`tratree {name}" in text or f"`{name}`" in text, name


def test_no_source_returns_an_exit_instead_of_raising_it() -> None:
    for path in (REPOSITORY / "tratree_cli").rglob("*.py"):
        assert "return typer.Exit" not in path.read_text("utf-8"), path


def test_every_variable_that_is_read_is_on_its_page() -> None:
    page = (REPOSITORY / "docs" / "environment-variables.md").read_text("utf-8")
    read = re.compile(r'["\'](TRATREE_[A-Z_]+)["\']')
    for source in ("tratree_cli", "store"):
        for path in (REPOSITORY / source).rglob("*.py"):
            for name in read.findall(path.read_text("utf-8")):
                assert f"`{name}`" in page, f"{name} of {path}"


def test_the_readme_says_how_to_type_the_command_and_so_does_make_demo() -> None:
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    assert "source .venv/bin/activate" in readme
    demo = makefile.partition("\ndemo: install\n")[2].partition("\n\n")[0]
    assert "activate" in demo.splitlines()[-1]


def test_every_command_of_the_readme_exists_with_its_options() -> None:
    """Each ``tratree`` line of a code block: known words and known options only."""
    from tratree_cli.app import load

    readme = (REPOSITORY / "README.md").read_text("utf-8")
    lines = [line for block in readme.split("```")[1::2] for line in block.splitlines()]
    calls = [part.split() for line in lines for part in line.partition("#")[0].split("|")]
    seen = 0
    for words in (call for call in calls if call[:1] == ["tratree"]):
        command = load(words[1])
        if inner := getattr(command, "commands", None):
            command = inner[words[2]]
        known = {name for param in command.params for name in param.opts}
        assert {word for word in words if word.startswith("-")} <= known, words
        seen += 1
    assert seen > 8


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/store.md", "docs/testing.md"])
def test_every_test_that_a_page_names_as_proof_exists(page: str) -> None:
    places = [path.with_suffix("").as_posix() for path in REPOSITORY.glob("tests/**/test_*.py")]
    named = re.findall(r"`([\w/.-]*test_\w+)(?:\.py)?`", (REPOSITORY / page).read_text("utf-8"))
    assert named
    for name in named:
        assert any(place.endswith(f"/{name.removesuffix('.py')}") for place in places), name
