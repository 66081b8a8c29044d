"""What an action showed: the words of the next observation that tell it from the one before.

Observations of all environments are taken as lists of segments (WebShop separates them by
``[SEP]``, others by lines), so nothing here knows an environment.
"""

from __future__ import annotations

import re

from tratree_cli.display.text import one_line

_PARTS = re.compile(r"\s*\[SEP\]\s*|\s*\n\s*")
_ARGUMENT = re.compile(r"\[(.+)\]\s*$", re.DOTALL)
_FIRST = 4
"""Of so many new segments the longest is told: the others are mostly buttons."""


def seen(action: str, before: str, after: str) -> str:
    """What was found behind a result that was opened, else the leading segment that is new.

    Empty where nothing is new. A result is opened where the action names a segment that the next
    observation no longer has, and what stood beside it is still there: a product's title.
    """
    old, new = _segments(before), _segments(after)
    argument = _ARGUMENT.search(action)
    name = argument[1].strip() if argument else ""
    if name in old[:-1] and name not in new:
        beside = old[old.index(name) + 1]
        if beside in new:
            return one_line(beside)
    fresh = [segment for segment in new if segment not in old and not segment.endswith(":")]
    return one_line(max(fresh[:_FIRST], key=len, default=""))


def _segments(text: str) -> list[str]:
    return [part for part in _PARTS.split(text) if part]
