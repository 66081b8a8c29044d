"""A help page has examples, tells what holds where nothing is given, and lists what can be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.command_line import Folder
from tests.pages.blocks import calls
from tests.pages.test_blocks import check_words
from tratree_cli.app import COMMANDS, load
from tratree_cli.commands.examples import EXAMPLES
from tratree_cli.commands.help_page import COMMON, DEFAULTS
from tratree_cli.config import all_keys


@pytest.fixture
def tratree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    return Folder(tmp_path, monkeypatch)


def shown(tratree: Folder, *words: str) -> str:
    from tests.command_line import invoke
    from tratree_cli.app import app

    tratree.monkeypatch.chdir(tratree.path)
    tratree.monkeypatch.setattr("sys.argv", ["tratree", *words])
    return " ".join(invoke(app, words).stdout.replace("│", " ").split())


def test_every_command_has_one_to_three_examples_that_can_be_typed() -> None:
    every = set()
    for name in COMMANDS:
        every |= {name, *(f"{name} {inner}" for inner in getattr(load(name), "commands", {}))}
    assert set(EXAMPLES) == every
    for name, lines in EXAMPLES.items():
        assert 1 <= len(lines) <= 3, name
        for line in lines:
            found = list(calls(line))
            assert found, line
            assert line.startswith((f"tratree {name} ", f"tratree {name}")), line
            for words in found:
                check_words(words, line)


def test_defaults_are_told_of_options_that_exist_by_keys_that_exist() -> None:
    for name, options in DEFAULTS.items():
        known = {param.name for param in load(name).params}
        assert set(options) | set(COMMON) <= known, name
        assert set(options.values()) <= set(all_keys())


def test_the_recipe_that_would_be_used_decides_what_is_told(tratree: Folder) -> None:
    assert "Trajectories per task. (quick: 6)" in shown(tratree, "explore", "--help")
    assert "(micro: 3)" in shown(tratree, "explore", "--help", "--recipe", "micro")
    (tratree.path / "tratree.toml").write_text('recipe = "micro"\n[explore]\nm = 7\n')
    assert "(micro: 7)" in shown(tratree, "help", "explore")
    (tratree.path / "tratree.toml").write_text("broken")
    assert "Trajectories per task." in shown(tratree, "explore", "--help")


def test_names_that_can_be_given_are_listed(tratree: Folder) -> None:
    page = shown(tratree, "eval", "--help")
    for words in ("alfworld, scienceworld, webshop", "bench, dmpo, eto", "Examples:"):
        assert words in page


NAMED = {"env", "recipe", "assignments", "split", "form", "method", "methods", "rule", "policy"}


def test_what_has_names_can_be_completed() -> None:
    lacking = []
    for name in COMMANDS:
        command = load(name)
        for inner in (getattr(command, "commands", None) or {name: command}).values():
            lacking += [
                f"{inner.name} {param.name}"
                for param in inner.params
                if param.name in NAMED and param._custom_shell_complete is None
            ]
    assert lacking == []


def test_a_flag_takes_no_value_and_a_list_is_given_piece_by_piece(tratree: Folder) -> None:
    for words in (["--help"], ["explore", "--help"], ["store", "push", "--help"]):
        page = shown(tratree, *words)
        assert "--help -h Show this message" in page
        assert not re.search(r"<bool>|list\[|range>|\(quick: \)", page)
    assert "(quick: )" not in shown(tratree, "mine-pairs", "--help")
