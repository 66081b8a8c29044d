"""Obvious values pass unvalidated; whatever may be wrong still gets typer's own message."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
import typer.main

from tratree_cli.startup import skip_validation


def command(*, skipped: bool, seen: list[dict[str, Any]]) -> Any:
    app = typer.Typer(add_completion=False)

    @app.command()
    def go(
        words: Annotated[list[str] | None, typer.Argument()] = None,
        name: Annotated[str | None, typer.Option("--name")] = None,
        count: Annotated[int, typer.Option("--count", min=0, max=9)] = 3,
        pause: Annotated[float | None, typer.Option("--pause", min=0)] = None,
        place: Annotated[Path | None, typer.Option("--place", envvar="PLACE")] = None,
        here: Annotated[Path | None, typer.Option("--here", exists=True)] = None,
        loud: Annotated[bool, typer.Option("--loud")] = False,
    ) -> None:
        seen.append(dict(locals()))

    made = typer.main.get_command(app)
    if skipped:
        skip_validation(made)
    return made


LINES = [
    "",
    "a b --name c --count 9 --loud",
    "--count 007",
    "--count ' 5 '",
    "--count 10",
    "--count -1",
    "--count x",
    "--count 1.0",
    "--count ٣",
    "--count 99999999999999999999",
    "--pause 0.5",
    "--pause -1",
    "--pause nan",
    "--place some/where",
    "--place ''",
    "--place schön",
    "--here nowhere",
    "--here .",
    "--name ''",
    "--name \udcff",
    "--name ünï",
    "--nonsense",
]


@pytest.mark.parametrize("line", LINES)
def test_a_skipped_command_understands_what_typer_understands(line: str) -> None:
    assert outcome(line, skipped=True) == outcome(line, skipped=False)


def test_the_table_holds_lines_of_both_sorts() -> None:
    refused = [line for line in LINES if outcome(line, skipped=False).startswith("refused")]
    assert 5 < len(refused) < len(LINES) - 5


def outcome(line: str, *, skipped: bool) -> str:
    seen: list[dict[str, Any]] = []
    made = command(skipped=skipped, seen=seen)
    try:
        made(shlex.split(line), standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - whatever typer says is what is compared
        return f"refused: {type(error).__name__} {getattr(error, 'message', error)}"
    return repr(seen)
