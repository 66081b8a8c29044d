"""The ``tratree`` command: names every subcommand and imports none of them until it is called.

Start-up time is what people feel first, so the root group knows only names and one-line helps;
the module behind a name is imported when that name is typed. Errors end here: a ``TratreeError``
is one sentence on stderr and an exit code, Ctrl-C is exit 130, and a traceback is shown only with
``--debug``.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import importlib
import io
import os
import signal
import sys
from typing import Any

from tratree_cli import startup

startup.spare_garbage_collection()

import typer  # noqa: E402 - everything that is imported from here on is start-up
import typer.core  # noqa: E402
import typer.main  # noqa: E402

from tratree_cli.display.text import one_line, sentence  # noqa: E402

COMMANDS: dict[str, tuple[str, str, str]] = {
    "sft": ("tratree_cli.commands.sft", "Fine-tune a base model on demonstrations.", "Stages"),
    "explore": ("tratree_cli.commands.explore", "Let a policy play tasks M times.", "Stages"),
    "build-tree": ("tratree_cli.commands.build_tree", "Merge rollouts into trees.", "Stages"),
    "mine-pairs": ("tratree_cli.commands.mine_pairs", "Find preference pairs.", "Stages"),
    "mcts": ("tratree_cli.commands.mcts", "Search the trees for the best paths.", "Stages"),
    "train-strong": ("tratree_cli.commands.train_strong", "Train the strong model.", "Stages"),
    "eval": ("tratree_cli.commands.evaluate", "Evaluate a policy on a split.", "Stages"),
    "run": ("tratree_cli.commands.run", "A study: seeds, methods, sweeps.", "Stages"),
    "report": ("tratree_cli.commands.report", "Make the table, from all of the above.", "Stages"),
    "show": (
        "tratree_cli.commands.show",
        "Show any artifact in the terminal.",
        "Looking",
    ),
    "env": (
        "tratree_cli.commands.env",
        "List, check, play, fetch and serve environments.",
        "Looking",
    ),
    "store": (
        "tratree_cli.commands.store",
        "List, verify, explain, share, collect.",
        "Looking",
    ),
    "init": (
        "tratree_cli.commands.init",
        "Write a Makefile and tratree.toml here.",
        "Looking",
    ),
    "serve": ("tratree_cli.commands.serve", "Serve a model to other programs.", "More"),
    "pretrain": ("tratree_cli.commands.pretrain", "Make a base model from nothing.", "More"),
    "import": ("tratree_cli.commands.import_", "Read others' trajectories.", "More"),
    "export": ("tratree_cli.commands.export", "Write files that other trainers read.", "More"),
}
"""Subcommand → (module with a typer ``app``, one-line help, panel of the help page)."""


class LazyGroup(typer.core.TyperGroup):
    """A group whose subcommands are stubs in listings and real once they are called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if getattr(ctx, "_tratree_dispatch", False):
            return load(cmd_name)
        _, text, panel = COMMANDS[cmd_name]
        return typer.core.TyperCommand(cmd_name, help=text, rich_help_panel=panel)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        startup.skip_validation(self)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] == "help":  # as git has it
            args = [*args[1:], "--help"]
            if len(args) == 1:
                typer.echo(ctx.get_help())
                raise typer.Exit(0)
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from tratree_cli.errors import InputError, did_you_mean

            raise InputError(
                f"there is no command '{args[0]}'{did_you_mean(args[0], COMMANDS)}; "
                "`tratree --help` lists them"
            )
        ctx._tratree_dispatch = True
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from tratree_cli.display.help_style import prepare

        prepare(self, ctx)
        super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if (wrong := _usage_error(error)) is None:
                raise
            report_error(wrong, wrong.exit_code)
            raise typer.Exit(wrong.exit_code) from None

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say("interrupted; nothing half-done was kept in the way, run the same command again")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader of a pipe went away (`| head`): not an error of ours.
            sys.stderr.close()
            raise typer.Exit(0) from None
        except Exception as error:
            error = _usage_error(error) or error
            code = exit_code(error)
            if code is None or debugging():
                raise
            report_error(error, code)
            raise typer.Exit(code) from None


def load(name: str) -> Any:
    """The real command behind a name."""
    module = importlib.import_module(COMMANDS[name][0])
    module.app._add_completion = False  # the root has it; a stage's help is about the stage
    command = typer.main.get_command(module.app)
    command.name = name
    startup.skip_validation(command)
    _styled(command)
    if {"--help", "-h"} & set(sys.argv) or "help" in sys.argv[1:2]:
        from tratree_cli.commands.help_page import complete

        complete(name, command)
    return command


def _styled(command: Any) -> None:
    """Let the pages of ``command`` and of the commands in it look like ours."""
    shown = command.format_help

    def format_help(ctx: Any, formatter: Any) -> None:
        from tratree_cli.display.help_style import prepare

        prepare(command, ctx)
        shown(ctx, formatter)

    command.format_help = format_help
    for inner in getattr(command, "commands", {}).values():
        _styled(inner)


def _usage_error(error: Exception) -> Any:
    """The error as one of ours if the parser of arguments raised it, else None."""
    if not hasattr(error, "format_message"):
        return None
    from tratree_cli.commands.usage import usage_error

    return usage_error(error)


WRONG_NAMES = {errno.ENAMETOOLONG: 2, errno.ELOOP: 2}
"""What no file can be called, and the exit code of naming it."""


def exit_code(error: BaseException) -> int | None:
    """The exit code of an error that is meant for people, or None for a bug."""
    from tratree_cli.errors import TratreeError

    if isinstance(error, TratreeError):
        return error.exit_code
    store = sys.modules.get("tratree_store")
    if store is not None and isinstance(error, store.StoreError):
        return int(getattr(error, "exit_code", 1))
    # Not writable, read-only, full, or a file where a folder should be: facts about the user's
    # machine, not bugs.
    if isinstance(error, PermissionError | NotADirectoryError):
        return 2
    codes = {errno.EROFS: 2, errno.ENOSPC: 1, errno.EDQUOT: 1, errno.EFBIG: 1, **WRONG_NAMES}
    return codes.get(getattr(error, "errno", None) or 0)


def report_error(error: BaseException, code: int) -> None:
    message = one_line(str(error))
    if isinstance(error, OSError):
        place = error.filename or "a file could not be written"
        advice = "make room, or choose another folder with --store"
        if error.errno in WRONG_NAMES:
            advice = "name an existing file or folder"
        message = f"{place}: {error.strerror}; {advice}"
    if "--json" in sys.argv:
        from tratree_cli.commands.output import print_json

        print_json({"error": {"kind": type(error).__name__, "message": message, "exit": code}})
    say(message)


def say(message: str) -> None:
    """A sentence on stderr; never markup, never control characters from outside."""
    sys.stderr.write(sentence(f"tratree: {message}", sys.stderr) + "\n")


def debugging() -> bool:
    return "--debug" in sys.argv or os.environ.get("TRATREE_DEBUG", "") not in ("", "0")


app = typer.Typer(
    cls=LazyGroup,
    name="tratree",
    help="Turn a weak agent's successes and failures into supervision for a stronger one.\n\n"
    "Start with: tratree report --env webshop\n\n"
    "About a command: tratree help COMMAND",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from tratree_cli import __version__

        typer.echo(f"tratree {__version__}{_beside()}")
        raise typer.Exit(0)


def _beside() -> str:
    """What decides the figures beside tratree itself, for reports of faults."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = [f"Python {platform.python_version()}"]
    for package in ("torch", "transformers", "trl"):
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return f" ({', '.join(found)})"


def _color(value: str | None) -> None:
    """``--color``: what ``NO_COLOR`` and ``FORCE_COLOR`` say to every library, for this call."""
    if value not in (None, "auto", "always", "never"):
        raise typer.BadParameter(f"{value!r} is none of auto, always and never")
    if value in ("always", "never"):
        chosen, other = ("FORCE_COLOR", "NO_COLOR")[:: 1 if value == "always" else -1]
        os.environ[chosen] = "1"
        os.environ.pop(other, None)


@app.callback()
def root(
    version: bool = typer.Option(
        False,
        "--version",
        "-V",
        callback=_version,
        is_eager=True,
        help="Print the version and leave.",
    ),
    color: str | None = typer.Option(
        None,
        "--color",
        callback=_color,
        is_eager=True,
        metavar="WHEN",
        help="auto, always or never.",
    ),
) -> None:
    pass


def _interrupt(number: int, frame: Any) -> None:
    """What a scheduler or ``kill`` sends counts as Ctrl-C; a second one kills at once."""
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


def _require_text(words: list[str]) -> None:
    """Exit 2 for a word that is not UTF-8: no record of what was typed could hold it."""
    for word in (*words, os.environ.get("TRATREE_STORE", "")):
        try:
            word.encode()
        except UnicodeEncodeError:
            seen = word.encode("utf-8", "backslashreplace").decode()
            say(f"'{seen}' is not UTF-8 text; rename the file, or type the word in UTF-8")
            raise SystemExit(2) from None


def main() -> None:
    """Entry point of the ``tratree`` script.

    SIGTERM is answered like Ctrl-C, so that worker processes and simulators are stopped and a
    person is told that nothing is lost.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    startup.open_closed_streams()
    codecs.register_error("stand-ins", startup.stand_ins)
    for stream in (sys.stdout, sys.stderr):
        # A character that a terminal does not know must not cost the whole answer.
        if isinstance(stream, io.TextIOWrapper) and "utf" not in stream.encoding.lower():
            stream.reconfigure(errors="stand-ins")
    try:
        _require_text(sys.argv[1:])
        app(prog_name="tratree")
    except OSError as error:
        if debugging():
            raise
        # Help, or an error's own JSON, that could not be written: stdout is full or gone.
        say(f"stdout cannot be written: {error.strerror or error}")
        startup.end_process(1)
    except SystemExit as ended:
        code = 0 if ended.code is None else ended.code
        if not isinstance(code, int) or not startup.only_modules_are_left():
            raise
        startup.run_exit_functions()
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except BrokenPipeError:
            code = 0  # as in ``LazyGroup.invoke``
        except OSError as error:
            code = 1
            report_error(error, code)
        except ValueError:
            pass  # closed already
        startup.end_process(code)


if __name__ == "__main__":
    main()
