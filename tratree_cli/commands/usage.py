"""What is said about a command line that cannot be read: one sentence, as of every other error."""

from __future__ import annotations

import re
from typing import Any

from tratree_cli.errors import InputError, did_you_mean


def usage_error(error: Any) -> InputError | None:
    """The sentence for an error of the parser of arguments; None if it is none, or is a help page.

    ``error`` is typer's ``UsageError`` (whose class has no public name), known by what it offers.
    """
    if not hasattr(error, "format_message") or type(error).__name__ == "NoArgsIsHelpError":
        return None
    ctx = getattr(error, "ctx", None)
    command = ctx.command_path if ctx is not None else "tratree"
    option = getattr(error, "option_name", None)
    unknown = re.match(r"No such command '(.*?)'", str(error.format_message()))
    if type(error).__name__ == "NoSuchOption" and ctx is not None and option:
        known = [name for param in ctx.command.get_params(ctx) for name in param.opts]
        said = f"there is no option '{option}' of `{command}`{did_you_mean(option, known)}"
    elif (inner := getattr(getattr(ctx, "command", None), "commands", None)) and unknown:
        said = f"there is no command '{unknown[1]}' of `{command}`{did_you_mean(unknown[1], inner)}"
    else:
        words = str(error.format_message()).strip().rstrip(".")
        said = words[:1].lower() + words[1:].replace(". ", "; ")
    return InputError(f"{said}; `{command} --help` lists what it takes")
