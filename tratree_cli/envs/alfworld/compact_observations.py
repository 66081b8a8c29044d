"""The game's texts in note form, for models with a thousand positions.

Nothing is added, and all that a policy needs is kept: the places, what is in
or on each, whether it is closed. A successful action is answered with *done*, without repeating it.
"""

from __future__ import annotations

import re

from tratree_cli.envs.alfworld.sentences import MARK, NOTE_MARK

ROOM = re.compile(
    r"^You are in the middle of a room\. Looking quickly around you, you see ([^.]*)\."
)
SEEN = re.compile(
    r"^(?:You open the [a-z]+ \d+\. )?(?:On the|The) ([a-z]+ \d+)"
    r"(?: is open\. In it)?, you see ([^.]*)\.$"
)
CLOSED = re.compile(r"^The ([a-z]+ \d+) is closed\.$")
DONE = re.compile(r"^You (?:close|pick up|put|move|heat|clean|cool|turn on|sliced) [^.]*\.$")
ARTICLE = re.compile(r"(?:^|, )(?:and )?a (?=[a-z]+ \d)")


def brief(text: str) -> str:
    """``On the desk 1, you see a pen 1, and a mug 2.`` as ``desk 1: pen 1, mug 2``."""
    text = ROOM.sub(lambda match: _names(match.group(1)), text).replace(MARK, NOTE_MARK)
    text = SEEN.sub(lambda match: f"{match.group(1)}: {_names(match.group(2))}", text)
    return DONE.sub("done", CLOSED.sub(r"\1: closed", text))


def _names(listed: str) -> str:
    return ARTICLE.sub(", ", listed).removeprefix(", ")
