"""The options that every stage command has, each declared once.

A command declares only its own options; ``stage_command`` adds these, and hands all of them over in
one value. Annotations are read at run time here, so this module does without their postponement.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer

from tratree_cli.commands.completion import (
    complete_assignment,
    complete_environment,
    complete_recipe,
)
from tratree_cli.errors import InputError

SETTINGS, RUNNING, OUTPUT = "Inputs and settings", "Running", "Output"
PANELS = {
    **dict.fromkeys(("env", "data", "prompt", "recipe", "assignments", "seed"), SETTINGS),
    **dict.fromkeys(("store", "no_stdin", "trust_remote_code"), SETTINGS),
    **dict.fromkeys(("workers", "jobs", "device", "dry_run", "exit_code", "frozen"), RUNNING),
    **dict.fromkeys(("force", "strict_code", "wait"), RUNNING),
    **dict.fromkeys(("name", "as_json", "quiet", "verbose", "debug"), OUTPUT),
}
"""Where the help page of a stage shows each common option; a command's own stand before them."""

_Given = TypeVar("_Given", bound="CommonOptions")


@dataclass
class CommonOptions:
    """What one call of a stage command was told beside the command's own options."""

    env: Annotated[
        str | None,
        typer.Option(
            "--env",
            "-e",
            help="Environment.",
            show_default=False,
            autocompletion=complete_environment,
        ),
    ] = None
    data: Annotated[
        str | None,
        typer.Option("--data", help="Folder with the environment's files.", show_default=False),
    ] = None
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", help="Prompt's name, or its folder.", show_default=False),
    ] = None
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            "-r",
            help="Shipped recipe, or .toml.",
            show_default=False,
            autocompletion=complete_recipe,
        ),
    ] = None
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any parameter: section.key=value.",
            autocompletion=complete_assignment,
        ),
    ] = None
    seed: Annotated[int | None, typer.Option("--seed", help="Seed.", show_default=False)] = None
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes inside a stage.")] = 1
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=0, help="Stages side by side, 0: cores.")
    ] = 0
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")] = "auto"
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Print the plan, run nothing.")
    ] = False
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="With --dry-run: 4 if it would run.")
    ] = False
    frozen: Annotated[bool, typer.Option("--frozen", help="Refuse to run what is not cached.")] = (
        False
    )
    force: Annotated[bool, typer.Option("--force", help="Run again although cached.")] = False
    strict_code: Annotated[
        bool, typer.Option("--strict-code", help="What other source code made is not cached.")
    ] = False
    trust_remote_code: Annotated[
        bool,
        typer.Option(
            "--trust-remote-code",
            envvar="TRATREE_TRUST_REMOTE_CODE",
            help="Run the code in model folders.",
        ),
    ] = False
    wait: Annotated[
        float | None, typer.Option("--wait", help="Seconds to wait for a lock.", min=0)
    ] = None
    store: Annotated[
        Path | None,
        typer.Option("--store", envvar="TRATREE_STORE", help="Store folder [.tratree]."),
    ] = None
    no_stdin: Annotated[
        bool, typer.Option("--no-stdin", help="Do not look for references on stdin.")
    ] = False
    name: Annotated[str | None, typer.Option("--name", help="Give the result a name.")] = None
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors on stderr.")] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="All figures of a stage, whole reasons.")
    ] = False
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks.", hidden=True)] = False

    def __post_init__(self) -> None:
        """Refuse options that would say nothing, or the opposite of each other."""
        if self.exit_code and not self.dry_run:
            raise InputError("--exit-code tells what --dry-run found; add --dry-run, or drop it")
        if self.quiet and self.verbose:
            raise InputError("--quiet silences what --verbose asks for; drop one of them")
        if self.force and self.frozen:
            raise InputError("--force runs what --frozen forbids to run; drop one of them")


def with_common_options(
    given: type[_Given],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the common options to ``function(given, **own)``."""

    for option in fields(CommonOptions):
        get_args(option.type)[1].rich_help_panel = PANELS[option.name]

    def decorated(function: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        @functools.wraps(function)
        def command(**arguments: Any) -> None:
            common = {option.name: arguments.pop(option.name) for option in fields(CommonOptions)}
            function(given(**common), **arguments)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        parameters += [
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.default,
                annotation=option.type,
            )
            for option in fields(CommonOptions)
        ]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        del command.__wrapped__
        return command

    return decorated
