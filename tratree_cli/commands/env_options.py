"""What the subcommands of ``tratree env`` take in common, and opening what is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratree_cli.commands.completion import complete_environment
from tratree_cli.errors import InputError

if TYPE_CHECKING:
    from tratree_cli.envs.protocol import Environment

EMBEDDED = "embedded"
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Environment, as `env list` shows it.",
        autocompletion=complete_environment,
    ),
]
Data = Annotated[str, typer.Option("--data", help="`embedded` or a folder with its files.")]
Parameters = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting, page_size=5.")
]


def open_named(name: str, data: str, parameters: list[str] | None) -> Environment:
    """The environment that the command line names; ``InputError`` as from the registry."""
    from tratree_cli.envs.registry import open_environment

    return open_environment(name, data, _settings(parameters))


def _settings(assignments: list[str] | None) -> dict[str, Any]:
    """``page_size=5`` to a dictionary; numbers are numbers."""
    settings: dict[str, Any] = {}
    for key, value in pairs(assignments, "--set").items():
        settings[key] = _number(value)
    return settings


def _number(text: str) -> int | float | str:
    """What is written with digits as a number; anything else, ``nan`` and ``inf`` too, as it is."""
    if not any(character.isdigit() for character in text):
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def pairs(assignments: list[str] | None, option: str) -> dict[str, str]:
    """``KEY=VALUE`` texts as a dictionary."""
    values = {}
    for text in assignments or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"{option} {text}: write it as KEY=VALUE")
        values[key] = value
    return values
