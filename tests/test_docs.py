"""Every command is documented, and the documentation is what the program says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

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
