"""Which source code made an artifact is recorded; other code is warned of, or refused."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tratree_store import Store

import tratree_cli
from tests.command_line import invoke
from tests.store.conftest import Make
from tratree_cli.app import app
from tratree_cli.pipeline import code_digest

PROJECT = Path(tratree_cli.__file__).resolve().parents[1]
WORDS = ("explore", "--policy", "expert", "--limit", "1", "-m", "1", "--no-stdin", "--json")


def explore(code: Path, folder: Path, *words: str) -> tuple[dict[str, object], str]:
    """The expert's exploration of one task by the command in ``code``; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tratree_cli.app", *WORDS, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(code), str(PROJECT / "store")])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_changed_source_file_is_warned_of_by_name_and_strict_code_makes_it_again(
    tmp_path: Path,
) -> None:
    code, folder = tmp_path / "code", tmp_path / "work"
    folder.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "tratree_cli", code / "tratree_cli", ignore=ignored)
    (code / "templates").symlink_to(PROJECT / "templates")
    first, _ = explore(code, folder)
    cached, told = explore(code, folder, "--strict-code")
    assert (cached["created"], "source code" in told) == (first["created"], False)

    pages = code / "tratree_cli" / "envs" / "webshop" / "pages.py"
    pages.write_text(pages.read_text("utf-8") + "\n# changed\n", "utf-8")
    cached, told = explore(code, folder)
    assert cached["created"] == first["created"]
    assert "changed since: envs/webshop/pages.py" in " ".join(told.split())

    again, told = explore(code, folder, "--strict-code")
    assert again["created"] != first["created"]
    assert "source code changed: envs/webshop/pages.py" in " ".join(told.split())
    # Equal bytes are the same object, so nothing that was made from it runs again.
    assert (again["object"], again["recipe"]) == (first["object"], first["recipe"])
    cached, told = explore(code, folder, "--strict-code")
    assert (cached["created"], "source code" in told) == (again["created"], False)


def test_imports_inside_functions_count_and_those_for_type_checking_do_not() -> None:
    text = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from tratree_cli import not_this
def f():
    import tratree_cli.one
    from tratree_cli.two import three
"""
    names = set(code_digest._imports(ast.parse(text)))
    assert {"tratree_cli.one", "tratree_cli.two", "tratree_cli.two.three"} <= names
    assert not any("not_this" in name for name in names)


@pytest.mark.parametrize(
    ("stage", "summary", "said"),
    [("import", {}, "came from a file"), ("explore", {"external": True}, "outside the store")],
)
def test_what_came_from_outside_cannot_be_made_again_and_verify_says_so(
    store: Store, make: Make, stage: str, summary: dict[str, bool], said: str
) -> None:
    entry = make("rollouts", stage=stage, summary=summary)
    done = invoke(app, ["store", "verify", entry.ref, "--recompute", "--store", str(store.root)])
    assert (done.exit_code, said in done.output) == (2, True)
