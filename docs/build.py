"""Write the generated pages: ``docs/commands.md`` (every command's help), ``docs/parameters.md``
(every parameter) and ``docs/methods.md`` (what the registries hold).

``--check`` writes nothing and fails when a page is not what the program says.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

os.environ.update(COLUMNS="92", TERM="dumb", NO_COLOR="1", TERMINAL_WIDTH="92")

DOCS = Path(__file__).resolve().parent


def main() -> int:
    pages = {"commands.md": commands(), "parameters.md": parameters(), "methods.md": methods()}
    stale = [
        name
        for name, text in pages.items()
        if not (DOCS / name).is_file() or (DOCS / name).read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        for name in stale:
            sys.stderr.write(f"docs/{name} is not what the program says; run `make docs`\n")
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(pages[name], encoding="utf-8")
        sys.stderr.write(f"wrote docs/{name}\n")
    return 0


def commands() -> str:
    """The help of every command and subcommand."""
    from tratree_cli.app import COMMANDS, load

    lines = ["# Commands", "", "Generated from the program by `make docs`.", ""]
    for name in COMMANDS:
        command = load(name)
        names = list(getattr(command, "commands", {}))
        lines += _section(f"tratree {name}", [name])
        for sub in names:
            lines += _section(f"tratree {name} {sub}", [name, sub])
    return "\n".join(lines).rstrip() + "\n"


def _section(title: str, words: list[str]) -> Iterator[str]:
    from typer.testing import CliRunner

    from tratree_cli.app import app

    shown = CliRunner().invoke(app, [*words, "--help"], prog_name="tratree", terminal_width=92)
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.output)
    yield f"## {title}"
    yield ""
    yield "```"
    yield from (line.rstrip() for line in text.strip().splitlines())
    yield "```"
    yield ""


def parameters() -> str:
    """Every parameter of a recipe, its default and meaning."""
    from tratree_cli.config import Config

    lines = [
        "# Parameters",
        "",
        "Generated from the program by `make docs`. Set any of them in a recipe, in `tratree.toml`",
        "or with `--set section.key=value`; recipes override the defaults below. Where the paper",
        "is silent the default is ours and says so.",
        "",
    ]
    empty = Config()
    for section in fields(Config):
        value = getattr(empty, section.name)
        if not is_dataclass(value):
            continue
        lines += [f"## {section.name}", "", "| key | default | meaning |", "|---|---|---|"]
        for key in fields(value):
            default = key.default if key.default is not MISSING else getattr(value, key.name)
            meaning = str(key.metadata.get("note", "")).replace("|", "\\|")
            lines.append(f"| `{section.name}.{key.name}` | `{default!r}` | {meaning} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def methods() -> str:
    """Every method, trainer, pair rule and policy, plug-ins' included."""
    from tratree_cli.agents.registry import POLICIES
    from tratree_cli.methods.pair_rule import PAIR_RULES
    from tratree_cli.methods.registry import METHODS
    from tratree_cli.training.trainer import TRAINERS

    lines = [
        "# Methods, trainers, pair rules and policies",
        "",
        "Generated from the program by `make docs`. [Extending](extending.md) shows how to add one.",
        "",
        "## Methods",
        "",
        "| name | title | what it is | learns from | trainer | controls |",
        "|---|---|---|---|---|---|",
    ]
    for method in METHODS.records():
        cells = [f"`{method.name}`", method.title, method.summary, method.learns_from]
        trainer = f"`{method.trainer}`" if method.trainer else "–"
        lines.append(_row(*cells, trainer, _names(method.controls)))
    lines += ["", "## Trainers", "", "| name | what it does | reads |", "|---|---|---|"]
    for one in TRAINERS.records():
        lines.append(_row(f"`{one.name}`", one.summary, one.rows))
    lines += ["", "## Pair rules", "", "| name | which pairs | of |", "|---|---|---|"]
    for rule in PAIR_RULES.records():
        lines.append(_row(f"`{rule.name}`", rule.summary, ", ".join(rule.sources)))
    lines += ["", "## Policies", "", "| written | who plays | kind |", "|---|---|---|"]
    for backend in POLICIES.records():
        written = backend.name if backend.kind == "engine" else backend.form
        lines.append(_row(f"`{written}`", backend.summary, backend.kind))
    return "\n".join(lines) + "\n"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "–"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
