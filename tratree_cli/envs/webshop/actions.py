"""The grammar of actions: ``search[words]`` and ``click[button]``, as forgiving as the original.

Only the first line counts, text after the last ``]`` is ignored, and the name is everything before
the last ``[`` that still leaves an argument. Found by looking from the right instead of with a
backtracking expression, so that a megabyte of brackets costs one pass.
"""

from __future__ import annotations

from typing import Literal

ActionName = Literal["search", "click"]


def parse_action(text: str) -> tuple[ActionName, str] | None:
    """``(name, argument in lower case)``, or None for anything that is no action."""
    line = text.split("\n", 1)[0]
    close = line.rfind("]")
    start = line.rfind("[", 0, max(close - 1, 0))
    if start < 0:
        return None
    name, argument = line[:start], line[start + 1 : close].lower()
    if name == "search":
        return "search", argument
    if name == "click":
        return "click", argument
    return None
