"""The fenced blocks of a page, what a comment above one says about it, and how it is run.

What happens to a block follows from its language: ``bash`` and ``python`` are run, ``console`` is
run and its output compared (``…`` stands for anything), ``toml`` and ``json`` are read, ``text``
and ``mermaid`` are shown. A comment on the line above changes that:

* ``<!-- planned: REASON -->``: its stages are asked for their plan (``--dry-run``) only;
* ``<!-- parsed: REASON -->``: only its words and options, or its syntax, are checked;
* ``<!-- tested by: PATH -->``: a test with a way of its own runs it;
* ``<!-- file: NAME -->``: it is written into the working folder as this file;
* ``<!-- drawn: NAME -->``: ``docs/pictures.py`` draws it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
GENERATED = {"commands.md", "parameters.md", "methods.md"}
"""Pages that ``docs/build.py --check`` compares with the program."""
PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for path in (
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("skills/*/*.md"),
        *REPOSITORY.glob("docs/**/*.md"),
    )
    if path.name not in GENERATED
)
LANGUAGES = {"bash", "python", "console", "toml", "yaml", "json", "text", "mermaid"}
MARKS = {"planned", "parsed", "tested by", "file", "drawn"}
_FENCE = re.compile(r"^( *)```([\w-]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"<!-- ([a-z ]+): (.+?) -->\s*\Z")


@dataclass(frozen=True)
class Block:
    """One fenced block; ``mark`` and ``detail`` are empty where no comment stands above it."""

    page: str
    line: int
    language: str
    text: str
    mark: str = ""
    detail: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str) -> list[Block]:
    """The blocks of a page in order."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        before = text[: fence.start()]
        mark = _MARK.search(before[-300:])
        body = re.sub(rf"^{fence[1]}", "", fence[3], flags=re.MULTILINE)
        mark_text = (mark[1], mark[2]) if mark else ("", "")
        found.append(Block(page, before.count("\n") + 1, fence[2], body, *mark_text))
    return found


def calls(script: str) -> Iterator[list[str]]:
    """The words of each call of ``tratree`` in a script, through pipes and after variables."""
    joined = script.replace("\\\n", " ").replace("…", "")
    for line in joined.splitlines():
        for part in re.split(r"\|(?![a-z])|&&|;", line.removeprefix("$ ")):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:
                continue
            if words[:1] == ["tratree"] and len(words) > 1:
                yield words[1:]


@dataclass(frozen=True)
class Exchange:
    """A command of a ``console`` block and what the page says that it prints."""

    command: str
    expected: str


def exchanges(block: Block) -> list[Exchange]:
    """``$ `` begins a command; a here-document belongs to it; what follows is its output."""
    found: list[tuple[list[str], list[str]]] = []
    ending = ""
    for line in block.text.splitlines():
        if ending:
            found[-1][0].append(line)
            ending = "" if line == ending else ending
        elif line.startswith("$ "):
            found.append(([line[2:]], []))
            if here := re.search(r"<<'?(\w+)'?", line):
                ending = here[1]
        else:
            found[-1][1].append(line)
    return [Exchange("\n".join(command), "\n".join(shown).strip()) for command, shown in found]


def matches(expected: str, printed: str) -> bool:
    """Whether ``printed`` is ``expected``, where ``…`` is any text and line ends do not count."""

    def plain(text: str) -> str:
        return "\n".join(line.rstrip() for line in text.strip().splitlines())

    pattern = ".*?".join(map(re.escape, plain(expected).split("…")))
    return re.fullmatch(pattern, plain(printed), re.DOTALL) is not None
