"""What `skills/tratree/SKILL.md` tells coding agents is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from tratree_cli import errors
from tratree_cli.app import COMMANDS
from tratree_cli.commands.registered import strong_methods
from tratree_cli.commands.store_options import KINDS
from tratree_cli.config import recipes
from tratree_cli.envs.registry import environment_names

PAGE = (Path(__file__).resolve().parents[1] / "skills" / "tratree" / "SKILL.md").read_text("utf-8")


def listed(mark: str) -> list[str]:
    """The names behind a comment, up to the end of the list item."""
    found = re.search(rf"<!-- {mark} -->(.*?)(?:\n\* |\n\n)", PAGE, re.DOTALL)
    assert found is not None, mark
    return [name.strip() for name in found[1].split(",")]


def test_the_names_are_those_of_the_registries() -> None:
    assert sorted(listed("recipes")) == sorted(recipes())
    assert sorted(listed("environments")) == sorted(environment_names())
    assert sorted(listed("methods")) == sorted(set(strong_methods()) - {"dpo"})
    assert sorted(listed("kinds")) == sorted(KINDS)


def test_the_stages_are_the_commands_of_the_help_page() -> None:
    assert listed("stages") == [
        name for name, (_, _, panel) in COMMANDS.items() if panel == "Stages"
    ]


def test_the_exit_codes_are_those_of_the_errors() -> None:
    from tratree_store import LockTimeout, VerificationError

    told = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    kinds = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, Exception)]
    ours = {getattr(kind, "exit_code", 1) for kind in kinds}
    assert ours | {LockTimeout.exit_code, VerificationError.exit_code, 0, 130} == told


def test_the_head_is_what_agents_look_for() -> None:
    head = PAGE.split("---")[1]
    name = re.search(r"^name: (.+)$", head, re.MULTILINE)
    about = re.search(r"^description: (.+)$", head, re.MULTILINE)
    assert name is not None and name[1] == "tratree"
    assert about is not None and len(about[1]) < 1024
