"""Every block of README and docs is one that a test runs, or says why not."""

from __future__ import annotations

import ast
import re
import tomllib

import orjson
import pytest

from tests.pages.blocks import (
    LANGUAGES,
    MARKS,
    PAGES,
    REPOSITORY,
    Block,
    blocks,
    calls,
    exchanges,
    matches,
)
from tratree_cli.app import COMMANDS, load

ALL = [block for page in PAGES for block in blocks(page)]
INLINE = re.compile(r"`(tratree [^`]+)`")
PLACEHOLDERS = {"REF", "NAME", "FILE", "DIR", "PLACE", "URL", "TREE", "ID", "COMMAND"}


def check_words(words: list[str], place: str) -> None:
    """Known command, subcommand and options."""
    assert words[0] in COMMANDS or words[0].startswith("-") or words[0] == "help", place
    if words[0] not in COMMANDS:
        return
    command = load(words[0])
    rest = words[1:]
    if inner := getattr(command, "commands", None):
        if not rest:
            return
        assert rest[0] in inner or rest[0].startswith("-"), (place, words)
        command, rest = inner.get(rest[0], command), rest[1:]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    assert given <= known | {"--help", "-h"}, (place, sorted(given - known))


@pytest.mark.parametrize("block", ALL, ids=lambda block: block.place)
def test_a_block_has_a_language_and_a_known_mark(block: Block) -> None:
    assert block.language in LANGUAGES, f"{block.place}: '{block.language}' is no language here"
    assert block.mark in MARKS | {""}, f"{block.place}: '{block.mark}' is no mark"
    if block.mark == "tested by":
        test = (REPOSITORY / block.detail).read_text(encoding="utf-8")
        assert block.page.rpartition("/")[2] in test, f"{block.detail} does not read {block.page}"


@pytest.mark.parametrize(
    "block", [b for b in ALL if b.language in ("bash", "console")], ids=lambda block: block.place
)
def test_commands_of_blocks_exist_with_their_options(block: Block) -> None:
    for words in calls(block.text):
        check_words(words, block.place)


@pytest.mark.parametrize(
    "block",
    [b for b in ALL if b.language in ("python", "toml", "json")],
    ids=lambda block: block.place,
)
def test_blocks_of_data_and_code_can_be_read(block: Block) -> None:
    if block.language == "python":
        ast.parse(block.text)
    elif block.language == "toml":
        tomllib.loads(block.text)
    else:
        for line in block.text.splitlines():
            orjson.loads(line)


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_text_exist_with_their_options(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    for found in INLINE.findall(text):
        for words in calls(found.replace("\n", " ")):
            if words[0] not in PLACEHOLDERS:
                check_words(words, f"{page}: {found}")


def test_an_exchange_is_a_command_and_what_it_prints() -> None:
    block = Block("x.md", 1, "console", "$ a <<'END'\nb\nEND\nc…\n$ d\n")
    first, second = exchanges(block)
    assert (first.command, first.expected) == ("a <<'END'\nb\nEND", "c…")
    assert (second.command, second.expected) == ("d", "")
    assert matches("c…\ne", "c 1  \ne\n") and not matches("c…", "d")


def test_no_command_hides_in_an_indented_block() -> None:
    """Indented blocks carry no language; only fenced ones are looked at."""
    for page in PAGES:
        text = re.sub(r"```.*?```", "", (REPOSITORY / page).read_text("utf-8"), flags=re.DOTALL)
        assert not re.findall(r"^    (?:tratree|pip|make) .*", text, re.MULTILINE), page
