"""How typer's help pages look: our colours, and a word for the value of each option."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from tratree_cli.display.colours import CYAN, GREEN, RED

STYLES = {
    "STYLE_OPTION": f"bold {CYAN}",
    "STYLE_SWITCH": f"bold {GREEN}",
    "STYLE_NEGATIVE_OPTION": f"bold {CYAN}",
    "STYLE_NEGATIVE_SWITCH": f"bold {GREEN}",
    "STYLE_COMMANDS_TABLE_FIRST_COLUMN": f"bold {CYAN}",
    "STYLE_TYPES": "",
    "STYLE_USAGE": "bold",
    "STYLE_OPTION_ENVVAR": "dim",
    "STYLE_REQUIRED_SHORT": RED,
    "STYLE_REQUIRED_LONG": "dim",
    "STYLE_HELPTEXT": "",
    "STYLE_DEPRECATED": RED,
}
"""Names in ``typer.rich_utils`` → the style that they get."""


def prepare(command: Any, ctx: Any) -> None:
    """Let typer's page have our colours (its yellow cannot be read on white) and words for values.

    A flag takes no value, and a list is given piece by piece.
    """
    from typer import rich_utils

    for name, style in STYLES.items():
        setattr(rich_utils, name, style)
    for param in command.get_params(ctx):
        shown = getattr(param, "display_type_rich", None)
        if shown is not None:
            param.display_type_rich = functools.partial(_value, param, shown)


def _value(param: Any, shown: Callable[..., str | None], ctx: Any) -> str | None:
    words = shown(ctx=ctx)
    if words is None or getattr(param, "is_flag", False):
        return None
    one = re.sub(r"list\[(\w+)\]", lambda found: found[1].lower(), words)
    return one.replace(" range", "")
