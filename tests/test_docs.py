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


def test_the_pictures_of_the_readme_are_where_their_script_draws_them() -> None:
    sys.path.insert(0, str(REPOSITORY / "docs"))
    try:
        from pictures import drawn, part
    finally:
        sys.path.pop(0)
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    for name, start in (("report", "Policy "), ("tree", "task ")):
        found = drawn(readme, name, "here")
        assert found != readme and f"<!-- drawn: {name} -->\n```text\nhere\n```" in found
        shown = readme.partition(f"<!-- drawn: {name} -->\n```text\n")[2].partition("```")[0]
        assert part(shown, start) == shown.rstrip()
        assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/store.md", "docs/testing.md"])
def test_every_test_that_a_page_names_as_proof_exists(page: str) -> None:
    places = [path.with_suffix("").as_posix() for path in REPOSITORY.glob("tests/**/test_*.py")]
    named = re.findall(r"`([\w/.-]*test_\w+)(?:\.py)?`", (REPOSITORY / page).read_text("utf-8"))
    assert named
    for name in named:
        assert any(place.endswith(f"/{name.removesuffix('.py')}") for place in places), name
